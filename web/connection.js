// @ts-check
/** What is known about the connection, and the one word that is true of it. */

/** @typedef {"connecting" | "live" | "reconnecting" | "stale" | "offline"} Verdict */
/**
 * Times are milliseconds since 1970. `source` is why the server may not hear of changes, null while it does.
 * @typedef {{
 *   phase: "connecting" | "open" | "lost",
 *   everLive: boolean,
 *   offlineSince: number | null,
 *   list: "none" | "loading" | "current" | "outdated",
 *   source: string | null,
 *   transport: import("./live.js").Transport | null,
 *   server: string | null,
 *   why: string | null,
 *   attempts: number,
 *   liveSince: number | null,
 *   heardAt: number | null,
 *   eventAt: number | null,
 * }} Connection
 */

/**
 * Longer than the server's ping interval (25 s): an open connection that is this silent may be a dead one.
 * Only where pings can be heard: EventSource keeps the heartbeats of SSE to itself.
 */
export const SILENCE_MS = 32_000;

/** @type {Readonly<Connection>} */
export const UNCONNECTED = Object.freeze({
  phase: "connecting",
  everLive: false,
  offlineSince: null,
  list: "none",
  source: null,
  transport: null,
  server: null,
  why: null,
  attempts: 0,
  liveSince: null,
  heardAt: null,
  eventAt: null,
});

/**
 * @param {Connection} connection
 * @param {number} now
 * @returns {Verdict}
 */
export function verdictOf(connection, now) {
  const { phase, offlineSince, list, heardAt, transport } = connection;
  // A browser without network may still reach a server on its own machine: what has been heard since counts for more.
  if (offlineSince !== null && (phase !== "open" || heardAt === null || heardAt < offlineSince)) return "offline";
  if (phase !== "open") return connection.everLive ? "reconnecting" : "connecting";
  if (list === "none") return "connecting";
  if (list !== "current" || connection.source !== null) return "stale";
  if (transport !== "SSE" && heardAt !== null && now - heardAt > SILENCE_MS) return "stale";
  return "live";
}

/**
 * One sentence on what the verdict rests on.
 * @param {Connection} connection
 * @param {Verdict} verdict
 */
export function explain(connection, verdict) {
  const { why, list, source } = connection;
  const sentences = {
    connecting: why ? `No connection yet: ${why}.` : "Opening the connection.",
    live: "Every change appears here as it is committed.",
    reconnecting: "The connection was lost. What is missed now will be made up for.",
    offline: "This device has no network. The orders are as they were last seen.",
    stale:
      list !== "current"
        ? "The connection is open, but the list is older than it should be and is being read again."
        : source !== null
          ? "The server itself does not hear of changes just now. What is missed will be made up for."
          : "The connection is open, but nothing has been heard for a while.",
  };
  return sentences[verdict];
}
