// @ts-check
/** The live connection, by Socket.IO or else by Server-Sent Events: one interface, whichever it is. */

import { followBySocketIO } from "./live-socketio.js";
import { followBySSE } from "./live-sse.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {"WebSocket" | "polling" | "SSE"} Transport */
/** @typedef {{ status?: string }} Filter */
/** @typedef {{ id: string, cursor: string, server: string }} Greeting */
/**
 * What the connection tells. A greeting comes with every connection; `continued` says that the server knew
 * where this client stands, so that what follows has no gap. `reached` says that a filtered client has missed nothing
 * up to there; `retrying` when the next try to connect is, null while it is being made; `stale` why the server itself may not know of changes, or that it does; `mustResync` that the list has to be read again, at least as new as the cursor.
 * @typedef {{
 *   greeted(greeting: Greeting | null, continued: boolean): void,
 *   changed(envelope: Envelope): void,
 *   reached(cursor: string): void,
 *   mustResync(reason: string | null, cursor: string | null): void,
 *   stale(why: string | null): void,
 *   heard(): void,
 *   transport(name: Transport): void,
 *   lost(why: string): void,
 *   retrying(at: number | null): void,
 * }} Listener
 */
/**
 * `position` tells the newest cursor that the page has, at the moment of each (re)connection.
 * @typedef {{ position: () => string | null, listener: Listener }} Following
 */
/**
 * `filter` gives the position from which on it holds, where that is known. `retry` connects at once where there is no
 * connection; with a reason to doubt the one there is, it connects anew.
 * @typedef {{ filter(filter: Filter): Promise<string | null>, retry(doubt: string | null): void }} Live
 */

const CLIENT = "/vendor/socket.io.esm.min.js";

/**
 * Connect and stay connected. `?transport=websocket|polling|sse` in the page's address asks for one of them.
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
