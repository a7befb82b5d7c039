// @ts-check
/** The live connection, by Socket.IO or else by Server-Sent Events: one interface for both. */

import { followBySocketIO } from "./live-socketio.js";
import { followBySSE } from "./live-sse.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {"WebSocket" | "polling" | "SSE"} Transport */
/** @typedef {{ status?: string }} Filter */
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
 * `position` returns the newest cursor of the page, at the moment of each (re)connection.
 * @typedef {{ position: () => string | null, listener: Listener }} Following
 */
/**
 * `filter` returns the position from which it is in force, if known. `retry` connects at once if there is no connection;
 * with a reason to doubt the current one, it reconnects.
 * @typedef {{ filter(filter: Filter): Promise<string | null>, retry(doubt: string | null): void }} Live
 */

const CLIENT = "/vendor/socket.io.esm.min.js";

/**
 * Connect and stay connected. `?transport=websocket|polling|sse` in the page's URL selects one of them.
 * @param {Following} following
 * @param {string | null} wanted
 * @returns {Promise<Live>}
 */
export async function follow(following, wanted) {
  if (wanted === "sse") return followBySSE(following);
  /** @type {any} */
  let client;
  try {
    client = await import(CLIENT);
  } catch {
    return followBySSE(following); // installed without npm: the page works all the same
  }
  const transports = wanted === "polling" || wanted === "websocket" ? [wanted] : undefined;
  return followBySocketIO(client.io, following, transports);
}
