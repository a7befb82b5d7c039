// @ts-check
/** The state of the connection, the one word for it, and whether the orders shown may be old. */

/** @typedef {"connecting" | "live" | "reconnecting" | "stale" | "offline"} Verdict */
/**
 * Times are milliseconds since 1970. `source` is why the server may not receive changes, null while it does; `retryAt` the
 * time of the next attempt to connect, null while none is due; `unansweredAt` when a request timed out; `trueAt` the last
 * time at which the orders are known to have been those of the database.
 * @typedef {{
 *   phase: "connecting" | "open" | "lost",
 *   everLive: boolean,
 *   offlineSince: number | null,
 *   list: "none" | "current" | "outdated",
 *   listSince: number,
 *   source: string | null,
 *   transport: import("./live.js").Transport | null,
 *   server: string | null,
 *   why: string | null,
 *   attempts: number,
 *   retryAt: number | null,
 *   unansweredAt: number | null,
 *   liveSince: number | null,
 *   heardAt: number | null,
 *   eventAt: number | null,
 *   trueAt: number | null,
 * }} Connection
 */

/** An open connection that is silent for longer than the interval of pings (25 s) or heartbeats (15 s) may be dead. */
export const SILENCE_MS = Object.freeze({ WebSocket: 32_000, polling: 32_000, SSE: 20_000 });
/** A reload of the list, or a first connection, usually takes less; the banner does not mention it before. */
const GRACE_MS = 1000;

/** @type {Readonly<Connection>} */
export const UNCONNECTED = Object.freeze({
  phase: "connecting",
  everLive: false,
  offlineSince: null,
  list: "none",
  listSince: 0,
  source: null,
  transport: null,
  server: null,
  why: null,
  attempts: 0,
  retryAt: null,
  unansweredAt: null,
  liveSince: null,
  heardAt: null,
  eventAt: null,
  trueAt: null,
});

/**
 * The connection after an update. The orders are true up to the last message while the connection was live.
 * @param {Readonly<Connection>} connection
 * @param {Partial<Connection>} news
 * @param {number} now
 * @returns {Connection}
 */
export function updated(connection, news, now) {
  const next = { ...connection, ...news };
  if (next.list !== connection.list) next.listSince = now;
  if (verdictOf(next, now) === "live") next.trueAt = next.heardAt ?? now;
  return next;
}

/**
 * Whether the connection is open and has been silent for too long.
 * @param {Readonly<Connection>} connection
 * @param {number} now
 */
export function isSilent({ phase, heardAt, transport }, now) {
  return phase === "open" && heardAt !== null && now - heardAt > SILENCE_MS[transport ?? "WebSocket"];
}

/**
 * @param {Readonly<Connection>} connection
 * @param {number} now
 * @returns {Verdict}
 */
export function verdictOf(connection, now) {
  const { phase, offlineSince, list, heardAt, unansweredAt } = connection;
  // A browser without network may still reach a server on its own machine: messages received since then count for more.
  if (offlineSince !== null && (phase !== "open" || heardAt === null || heardAt < offlineSince)) return "offline";
  if (phase !== "open") return connection.everLive ? "reconnecting" : "connecting";
  if (list === "none") return "connecting";
  if (list !== "current" || connection.source !== null || isSilent(connection, now)) return "stale";
  if (unansweredAt !== null && (heardAt === null || heardAt <= unansweredAt)) return "stale";
  return "live";
}

/**
 * One sentence that explains the verdict.
 * @param {Readonly<Connection>} connection
 * @param {Verdict} verdict
 */
export function explain(connection, verdict) {
  const { why, list, source } = connection;
  const sentences = {
    connecting: why ? `No connection yet: ${why}.` : "Opening the connection.",
    live: "Every change appears here as it is committed.",
    reconnecting: "The connection was lost. Missed changes will follow.",
    offline: "This device has no network. The orders are as they were last received.",
    stale:
      list !== "current"
        ? "The connection is open, but the list is older than it should be and is being read again."
        : source !== null
          ? "The server itself receives no changes at the moment. Missed changes will follow."
          : "The server has not answered for a while, so the orders may be old.",
  };
  return sentences[verdict];
}

/**
 * Why the orders may be old: as of when they are true, and what happens next. Null: they are current.
 * @param {Readonly<Connection>} connection
 * @param {number} now
 * @returns {{ asOf: number | null, next: string } | null}
 */
export function doubtOf(connection, now) {
  const { list, source, listSince, trueAt, attempts } = connection;
  const verdict = verdictOf(connection, now);
  const retrying = retryingOf(connection, now);
  if (verdict === "live") return null;
  if (verdict === "reconnecting") return { asOf: trueAt, next: retrying };
  if (verdict === "offline") return { asOf: trueAt, next: `no network, ${retrying}` };
  if (verdict === "connecting") {
    const first = attempts === 0 && (list === "none" || now - listSince < GRACE_MS);
    return first ? null : { asOf: trueAt, next: `no connection yet, ${retrying}` };
  }
  if (list !== "current") {
    return now - listSince < GRACE_MS ? null : { asOf: trueAt, next: "reading the list again" };
  }
  if (source !== null) return { asOf: trueAt, next: "the server receives no changes" };
  return { asOf: trueAt, next: "the server does not answer, asking again" };
}

/** @param {Readonly<Connection>} connection @param {number} now */
function retryingOf({ retryAt }, now) {
  const seconds = retryAt === null ? 0 : Math.ceil((retryAt - now) / 1000);
  return seconds > 0 ? `reconnecting in ${seconds} s` : "reconnecting now";
}
