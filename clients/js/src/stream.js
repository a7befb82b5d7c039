// @ts-check
/** A stream of events that goes on after any break, over whatever transport is to be had, from the last event received. */

import { AccessEnded, Unavailable } from "./errors.js";
import { Backoff, pause } from "./retry.js";
import { socketioConnection } from "./socketio-stream.js";
import { sseConnection } from "./sse-stream.js";
import { Choice } from "./transport-choice.js";

/** @typedef {import("./server.js").Server} Server */
/** @typedef {import("./transport-choice.js").Transport} Transport */
/** What a stream hands out: `told` is the payload, null where only the id has moved. @typedef {{ name: string, told: any, id: string | null }} StreamEvent */
/** `path` and `wanted` say the same, for each kind of transport. @typedef {{ path: string, wanted: Record<string, readonly string[]> }} Target */
/**
 * What a stream tells besides its events. `lost`: why there is no connection, null as soon as one goes on where we are;
 * `heard`: a sign of life; `retrying`: when the next attempt is (milliseconds since 1970), null while it is being made.
 * @typedef {{ lost: (why: string | null) => void, heard?: () => void, retrying?: (at: number | null) => void }} Observer
 */

/** In place of a cursor, while the orders themselves are being sent. */
export const SNAPSHOT = "snapshot";
/** A warning that comes sooner is about a token that was short-lived from the start: it is used until it ends. */
const SOON_MS = 2000;

export class Stream {
  #server;
  #target;
  #observer;
  #signal;
  #io;
  #choice;
  #isWhole;
  /** @type {string | null} */
  #last;
  #backoff = new Backoff();
  /** Ends the present connection, or the pause before the next one. */
  #own = new AbortController();
  #connectedAt = 0;

  /**
   * @param {Server} server
   * @param {Target} target
   * @param {string | null} since where it begins (null: now); `SNAPSHOT`: with the orders
   * @param {readonly Transport[]} transports the preferred one first
   * @param {any} io the function of that name of `socket.io-client`
   * @param {Observer} observer
   * @param {AbortSignal} signal
   */
  constructor(server, target, since, transports, io, observer, signal) {
    this.#server = server;
    this.#target = target;
    this.#choice = new Choice(transports);
    this.#io = io;
    this.#observer = observer;
    this.#signal = signal;
    this.#last = since;
    this.#isWhole = since === SNAPSHOT;
  }

  /** The transport that is used, or tried. */
  get transport() {
    return this.#choice.now;
  }

  /** The id of the last event, after which any other connection goes on. */
  get position() {
    return this.#last;
  }

  /** Go on over another transport, from where the stream is. @param {Transport} transport */
  use(transport) {
    if (transport === this.transport) return;
    this.#choice.use(transport);
    this.again();
  }

  /** Go on with the events of another target, from where the stream is. @param {Target} target */
  follow(target) {
    this.#target = target;
    this.again();
  }

  /** Connect anew, at once. */
  again() {
    this.#own.abort();
  }

  /**
   * The events, each once, because the server resumes after the last id. Ends when the signal does; throws AccessEnded and
   * Refused, where there will be no more.
   * @returns {AsyncGenerator<StreamEvent>}
   */
  async *events() {
    while (!this.#signal.aborted) {
      const own = (this.#own = new AbortController());
      const abort = () => own.abort();
      this.#signal.addEventListener("abort", abort);
      let isGoingOn = false; // at once
      try {
        isGoingOn = yield* this.#oneConnection(own.signal);
        if (!own.signal.aborted) this.#ended(isGoingOn);
      } catch (error) {
        if (!own.signal.aborted) isGoingOn = this.#failed(error);
      }
      if (!isGoingOn && !own.signal.aborted) await this.#pause(own.signal);
      this.#signal.removeEventListener("abort", abort);
    }
  }

  /** @param {AbortSignal} signal @returns {AsyncGenerator<StreamEvent, boolean>} whether to connect again at once */
  async *#oneConnection(signal) {
    const { path, wanted } = this.#target;
    const heard = () => this.#observer.heard?.();
    const connection =
      this.transport === "sse"
        ? sseConnection(this.#server, path, this.#last, signal, this.#backoff, heard)
        : socketioConnection(this.#io, this.#server, wanted, this.#last, signal, this.transport, heard);
    for await (const event of connection) {
      if (signal.aborted) return false; // the next connection goes on where we are, and has this event too
      if (event.name === "connected") {
        this.#connectedAt = Date.now();
        this.#backoff.succeeded();
        if (this.#choice.succeeded()) return true;
      }
      const { name, id } = event;
      if (isTrusted(event, this.#last)) this.#observer.lost(null);
      // Where we are not goes on only after what the server says next of the changes in between.
      if (id !== null && (name !== "connected" || this.#last === null)) this.#last = id;
      // Over Socket.IO, only what a connection began with is sent anew by itself.
      const isAskedAnew = name === "resync" && this.#isWhole && id !== SNAPSHOT;
      if (isAskedAnew) this.#last = SNAPSHOT;
      yield event;
      if (isAskedAnew) return true;
      if (!signal.aborted && this.#endsConnection(event)) return true;
    }
    return false;
  }

  /**
   * Whether to connect again with another token, because this one is about to end or has ended; throws where there is none.
   * @param {StreamEvent} event
   */
  #endsConnection({ name, told }) {
    if (name !== "ended" && (name !== "expiring" || Date.now() - this.#connectedAt < SOON_MS)) return false;
    if (this.#server.canRenew && told?.reason !== "token_revoked") {
      this.#server.renew();
      return true;
    }
    if (name === "ended") throw new AccessEnded(told?.reason ?? "token_expired");
    return false;
  }

  /** @param {boolean} isGoingOn */
  #ended(isGoingOn) {
    if (!isGoingOn) this.#choice.failed();
    this.#observer.lost("the stream ended");
  }

  /** @param {unknown} error @returns {boolean} whether another transport is to be tried at once */
  #failed(error) {
    if (!(error instanceof Unavailable || error instanceof RangeError)) throw error;
    const after = error instanceof Unavailable ? error.after : 0;
    // A server that says when to come back is reached, and says so over any transport.
    const isGoingOn = after === 0 && this.#choice.failed();
    this.#observer.lost(error.message);
    if (after > 0) this.#backoff.atLeast = Math.max(this.#backoff.atLeast, after);
    return isGoingOn;
  }

  /** @param {AbortSignal} signal */
  async #pause(signal) {
    const wait = this.#backoff.next();
    this.#observer.retrying?.(Date.now() + wait);
    await pause(wait, signal);
    this.#observer.retrying?.(null);
  }
}

/**
 * Whether the event shows that the stream goes on where we are. A server that greets with another position than ours will
 * say in its next event that the changes in between cannot be delivered.
 * @param {StreamEvent} event
 * @param {string | null} last
 */
function isTrusted({ name, id }, last) {
  if (name === "connected") return last === null || id === last || id === SNAPSHOT;
  return name === "resync" || name === "live";
}
