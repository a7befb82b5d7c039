// @ts-check
/** A cursor, "<epoch>.<ts>-<n>": a position in the stream of changes. */

/** @typedef {{ epoch: string, ts: bigint, n: bigint }} Cursor */

const CURSOR = /^(.+)\.(\d{1,20})-(\d{1,20})$/s;

/**
 * Parse a cursor; null if it is malformed, because it comes from the network.
 * @param {unknown} text
 * @returns {Cursor | null}
 */
export function parseCursor(text) {
  const parts = typeof text === "string" ? CURSOR.exec(text) : null;
  if (!parts) return null;
  const [, epoch = "", ts = "", n = ""] = parts;
  return { epoch, ts: BigInt(ts), n: BigInt(n) };
}

/**
 * Cursors are ordered within one epoch only.
 * @param {Cursor} one
 * @param {Cursor} other
 */
export function sameEpoch(one, other) {
  return one.epoch === other.epoch;
}

/**
 * Tell whether `one` is after `other` in the same epoch (numbers beyond 2^53: hence BigInt).
 * @param {Cursor} one
 * @param {Cursor} other
 */
export function isAfter(one, other) {
  return one.epoch === other.epoch && (one.ts > other.ts || (one.ts === other.ts && one.n > other.n));
}
