// @ts-check
/** A cursor, "<epoch>.<ts>-<n>": where in the stream of changes somebody stands. */

/** @typedef {{ epoch: string, ts: bigint, n: bigint }} Cursor */

const CURSOR = /^(.+)\.(\d{1,20})-(\d{1,20})$/s;

/**
 * Read a cursor; what is none gives null, because it comes from the network.
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
 * Two cursors have an order within one epoch only.
 * @param {Cursor} one
 * @param {Cursor} other
 */
export function sameEpoch(one, other) {
  return one.epoch === other.epoch;
}

/**
 * Say whether `one` lies after `other` in the same epoch (numbers beyond 2^53: hence BigInt).
 * @param {Cursor} one
 * @param {Cursor} other
 */
export function isAfter(one, other) {
  return one.epoch === other.epoch && (one.ts > other.ts || (one.ts === other.ts && one.n > other.n));
}
