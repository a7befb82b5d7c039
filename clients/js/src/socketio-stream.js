// @ts-check
/** One connection over Socket.IO, by the stock client: by a websocket or by long-polling. */

import { AccessEnded, Refused, Unavailable } from "./errors.js";

/** @typedef {import("./stream.js").StreamEvent} StreamEvent */

const EVENTS = ["connected", "snapshot", "live", "orderUpdate", "resync", "status", "mark", "expiring", "ended"];
const REFUSALS = /^(token_|ticket_|scope_|foreign_page)/;
/** The server greets at once; a connection without a greeting after that is dead. */
const GREETING_MS = 10_000;
/** More events that nobody has taken yet end the connection; the next one goes on after the last that was taken. */
const MOST_WAITING = 20_000;

/**
 * The same events as `sseConnection` hands out.
 * @param {any} io the function of that name of `socket.io-client`
 * @param {import("./server.js").Server} server
 * @param {Record<string, readonly string[]>} wanted
 * @param {string | null} since
 * @param {AbortSignal} signal
 * @param {string} transport
 * @param {() => void} heard
 * @returns {AsyncGenerator<StreamEvent>}
 */
export async function* socketioConnection(io, server, wanted, since, signal, transport, heard) {
  const isNew = !server.hasToken;
  const token = await server.token();
  const auth = {
    ...(since === null ? {} : { since }),
    ...(Object.keys(wanted).length > 0 ? { filter: wanted } : {}),
    ...(token === null ? {} : { token }),
  };
  // Our own loop connects again: what it has received last is then known to the server.
  const socket = io(server.url, { transports: [transport], forceNew: true, reconnection: false, auth });
  const queue = new Queue(socket, signal);
  const deadline = setTimeout(() => queue.over({ message: "the server did not answer in time" }), GREETING_MS);
  socket.on("connected", () => clearTimeout(deadline));
  socket.io.on("open", () => socket.io.engine.on("packet", heard)); // pings too
  try {
    yield* queue.events();
  } finally {
    clearTimeout(deadline);
    socket.disconnect();
  }
  if (signal.aborted) return;
  const error = queue.end;
  if (error !== null && REFUSALS.test(error.message)) {
    if (!server.canRenew || isNew) throw new AccessEnded(error.message);
    server.renew();
    yield* socketioConnection(io, server, wanted, since, signal, transport, heard);
    return;
  }
  if (error?.data?.field !== undefined) {
    const { field, message } = error.data;
    throw new Refused(422, { detail: `${field}: ${message}`, errors: [{ in: "filter", field, message }] });
  }
  throw new Unavailable(error?.message ?? "the connection was lost", (error?.data?.retry_after ?? 0) * 1000);
}

/** The events of one connection in their order, until its `end`. */
class Queue {
  /** @type {StreamEvent[]} */
  #waiting = [];
  #isOver = false;
  #wake = () => {};
  /** @type {{ message: string, data?: any } | null} */
  end = null;

  /** @param {any} socket @param {AbortSignal} signal */
  constructor(socket, signal) {
    for (const name of EVENTS) {
      socket.on(name, (/** @type {any} */ told) => this.#put({ name, told, id: told?.cursor ?? null }));
    }
    socket.on("connect_error", (/** @type {any} */ error) => this.over(error));
    socket.on("disconnect", (/** @type {string} */ message) => this.over({ message }));
    signal.addEventListener("abort", () => this.over(null));
    if (signal.aborted) this.over(null);
  }

  async *events() {
    for (;;) {
      const event = this.#waiting.shift();
      if (event) yield event;
      else if (this.#isOver) return;
      else await new Promise((resolve) => (this.#wake = () => resolve(null)));
    }
  }

  /** @param {StreamEvent} event */
  #put(event) {
    if (this.#isOver) return;
    this.#waiting.push(event);
    if (this.#waiting.length > MOST_WAITING) this.over({ message: "too many changes are waiting" });
    this.#wake();
  }

  /** Give no more events than have come. @param {{ message: string, data?: any } | null} end */
  over(end) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.end = end;
    this.#wake();
  }
}
