// @ts-check
/** The live connection: what it tells the page, and over which transports. */

import { followBy } from "./live-stream.js";
import { share } from "./sharing.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {"WebSocket" | "polling" | "SSE"} Transport */
/** @typedef {import("./view.js").Filter} Filter */
/** @typedef {{ id: string, cursor: string, server: string }} Greeting */
/**
 * The events of the connection. A greeting comes with every connection; `continued` means that the server resumed from
 * this client's position, so that no change is missing. `reached`: a filtered client has missed nothing up to the cursor.
 * `retrying`: the time of the next attempt to connect, null while it is being made. `stale`: why the server itself may not
 * receive changes, null if it does. `mustResync`: reload the list, at least as new as the cursor; the server has logged why under `incident`.
 * @typedef {{
 *   greeted(greeting: Greeting | null, continued: boolean): void,
 *   changed(envelope: Envelope): void,
 *   reached(cursor: string): void,
 *   mustResync(reason: string | null, cursor: string | null, incident?: string): void,
 *   stale(why: string | null): void,
 *   heard(): void,
 *   transport(name: Transport): void,
 *   lost(why: string): void,
 *   retrying(at: number | null): void,
 * }} Listener
 */
/**
 * `position` returns the newest cursor of the page, at the moment of each (re)connection; `filter` is the first one; `gate`
 * knows who may connect.
 * @typedef {{ position: () => string | null, filter: Filter, listener: Listener, gate: import("./gate.js").Gate }} Following
 */
/**
 * `filter` returns the position from which it is in force, if known. `retry` connects at once if there is no connection;
 * with a reason to doubt the current one, it reconnects.
 * @typedef {{ filter(filter: Filter): Promise<string | null>, retry(doubt: string | null): void, close(): void }} Live
 */

const CLIENT = "/vendor/socket.io.esm.min.js";
/** @type {readonly import("../clients/js/src/transport-choice.js").Transport[]} */
const OVER_ANY = ["websocket", "polling", "sse"];

/**
 * Connect and stay connected, by one connection for all tabs that want the same transport for the same person.
 * @param {Following} following
 * @param {() => string | null} transport "websocket", "polling" or "sse"; null: the best there is
 */
export function follow(following, transport) {
  const group = () => {
    const audience = following.gate.audience();
    return { name: `orders-live ${transport() ?? ""} ${audience}`, isShared: audience !== null };
  };
  return share(following, (own) => connect(own, transport()), group);
}

/** @param {Following} following @param {string | null} wanted @returns {Promise<Live>} */
async function connect(following, wanted) {
  if (wanted === "sse") return followBy(null, ["sse"], following);
  /** @type {any} */
  let client;
  try {
    client = await import(CLIENT);
  } catch {
    return followBy(null, ["sse"], following); // installed without npm: the page works all the same
  }
  // WebSocket first: it needs no sticky sessions at a load balancer.
  return followBy(client.io, wanted === "polling" || wanted === "websocket" ? [wanted] : OVER_ANY, following);
}
