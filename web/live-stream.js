// @ts-check
/** The live connection is a stream of the client library: this file tells the page what comes of it. */

import { AccessEnded, Refused } from "../clients/js/src/errors.js";
import { queryOf } from "../clients/js/src/filter.js";
import { Backoff, pause } from "../clients/js/src/retry.js";
import { Server } from "../clients/js/src/server.js";
import { Stream } from "../clients/js/src/stream.js";
import { tokenInUse } from "./credentials.js";

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {import("../clients/js/src/transport-choice.js").Transport} Transport */

const EVENTS = "/api/orders/events";
/** @type {Readonly<Record<Transport, import("./live.js").Transport>>} */
const NAMES = { websocket: "WebSocket", polling: "polling", sse: "SSE" };

/**
 * @param {any} io the function of the Socket.IO client, or null where there is none
 * @param {readonly Transport[]} transports
 * @param {Following} following
 * @returns {Live}
 */
export function followBy(io, transports, { position, filter, listener, gate }) {
  const end = new AbortController();
  const backoff = new Backoff();
  let wanted = filter;
  let isOpen = false;
  let isContinued = false;
  /** Ends the pause between two streams. */
  let pausing = new AbortController();
  const observer = {
    lost: (/** @type {string | null} */ why) => why !== null && lost(why),
    heard: () => listener.heard(),
    retrying: (/** @type {number | null} */ at) => listener.retrying(at),
  };
  let stream = begin();

  function begin() {
    const since = position();
    isContinued = since !== null;
    // What says who we are is known as a stream begins: somebody may have signed in since the last one.
    const server = new Server(location.origin, tokenInUse() ?? undefined);
    return new Stream(server, target(), since, transports, io, observer, end.signal);
  }

  function target() {
    return { path: EVENTS + queryOf(wanted), wanted };
  }

  /** @param {string} why */
  function lost(why) {
    isOpen = false;
    listener.lost(why);
  }

  async function keepOn() {
    while (!end.signal.aborted) {
      try {
        for await (const event of stream.events()) if (!end.signal.aborted) take(event);
      } catch (error) {
        await failed(error);
        await pause(backoff.next(), pausing.signal);
        stream = begin();
      }
    }
  }

  /** @param {unknown} error */
  async function failed(error) {
    pausing = new AbortController();
    if (error instanceof AccessEnded) {
      lost("nobody is signed in");
      await gate.refused(); // somebody has to sign in first
      return;
    }
    lost(error instanceof Refused ? error.message : "the page could not take a change");
    if (!(error instanceof Refused)) reportError(error);
  }

  /** @param {import("../clients/js/src/stream.js").StreamEvent} event */
  function take({ name, told, id }) {
    if (name === "connected") greeted(told);
    else if (name === "orderUpdate") listener.changed(told);
    else if (name === "status") listener.stale(told.stale ? String(told.reason) : null);
    else if (name === "resync") listener.mustResync(String(told.reason ?? ""), told.cursor ?? null, told.incident);
    else if (name === "expiring") void renew();
    else if (id !== null) listener.reached(id);
  }

  /** @param {import("./live.js").Greeting} greeting */
  function greeted(greeting) {
    isOpen = true;
    backoff.succeeded();
    listener.transport(NAMES[stream.transport]);
    listener.greeted(greeting, isContinued);
    isContinued = true;
  }

  /** The next connection goes on where this one is, so nobody need see it. */
  async function renew() {
    if (await gate.expiring()) again();
  }

  function again() {
    stream.again();
    pausing.abort();
  }

  void keepOn();
  return {
    async filter(next) {
      wanted = next;
      stream.follow(target());
      pausing.abort();
      return stream.position;
    },
    retry(doubt) {
      if (doubt !== null && isOpen) lost(doubt);
      if (doubt !== null || !isOpen) again();
    },
    close() {
      end.abort();
      pausing.abort();
    },
  };
}
