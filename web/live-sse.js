// @ts-check
/** The live connection by Server-Sent Events, for when there is no Socket.IO client. */

import { EventStreamParser } from "./event-stream.js";
import { Retry } from "./retry.js";

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Filter} Filter */
/** @typedef {import("./live.js").Live} Live */

const EVENTS = "/api/orders/events";
/** The server greets within milliseconds; a stream without a greeting after that is dead. */
const GREETING_MS = 10_000;

/**
 * Reads the stream by `fetch`: an EventSource hides the heartbeats, so that a quiet stream looks like a dead connection,
 * waits for its first answer without limit, and does not say when it will reconnect.
 * @param {Following} following
 * @returns {Live}
 */
export function followBySSE({ position, listener }) {
  /** @type {AbortController | null} */
  let current = null;
  /** @type {Filter} */
  let wanted = {};
  const retry = new Retry(open, (at) => listener.retrying(at));

  function open() {
    current?.abort();
    current = new AbortController();
    void read(current);
  }

  /** @param {AbortController} own */
  async function read(own) {
    const since = position();
    let late = false;
    const deadline = setTimeout(() => {
      late = true;
      own.abort();
    }, GREETING_MS);
    /** @type {(greeting: any) => void} */
    const greeted = (greeting) => {
      clearTimeout(deadline);
      retry.succeeded();
      listener.greeted(greeting, since !== null);
    };
    listener.transport("SSE");
    let why = "the event stream ended";
    try {
      const query = new URLSearchParams({ ...(since === null ? {} : { since }), ...wanted });
      await pass(await connect(`${EVENTS}?${query}`, own.signal), parserFor(greeted), () => current === own);
    } catch (error) {
      why = late ? "the server did not answer in time" : wordsOf(error);
    }
    clearTimeout(deadline);
    own.abort();
    if (current !== own) return; // another stream has taken its place
    current = null;
    listener.lost(why);
    retry.later();
  }

  /** @param {(greeting: any) => void} greeted */
  function parserFor(greeted) {
    /** @type {Map<string, (payload: any) => void>} */
    const acts = new Map([
      ["connected", greeted],
      ["orderUpdate", (envelope) => listener.changed(envelope)],
      ["status", (status) => listener.stale(status?.stale ? String(status.reason) : null)],
      [
        "resync",
        (notice) => listener.mustResync(String(notice?.reason ?? ""), notice?.cursor ?? null, notice?.incident),
      ],
    ]);
    return new EventStreamParser({
      event: (name, data) => acts.get(name)?.(JSON.parse(data)),
      mark: (id) => listener.reached(id),
      retry: (milliseconds) => retry.atLeast(milliseconds),
    });
  }

  /**
   * @param {ReadableStreamDefaultReader<string>} reader
   * @param {EventStreamParser} parser
   * @param {() => boolean} isCurrent
   */
  async function pass(reader, parser, isCurrent) {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !isCurrent()) return;
      listener.heard();
      parser.feed(value);
    }
  }

  open();
  return {
    async filter(filter) {
      wanted = filter;
      retry.now();
      return null; // the stream starts at the page's position, whatever its filter
    },
    retry(why) {
      if (why !== null && current) listener.lost(why);
      if (why !== null || !current) retry.now();
    },
  };
}

/** @param {string} url @param {AbortSignal} signal */
async function connect(url, signal) {
  const response = await fetch(url, { cache: "no-store", headers: { Accept: "text/event-stream" }, signal });
  if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
  return response.body.pipeThrough(new TextDecoderStream()).getReader();
}

/** @param {unknown} error */
function wordsOf(error) {
  // For a broken connection each browser throws a TypeError with its own message.
  return error instanceof Error && !(error instanceof TypeError) ? error.message : "the event stream broke off";
}
