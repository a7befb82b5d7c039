// @ts-check
/** The order of two cursors: positions in the stream of changes, which programs otherwise only store and send back. */

const CURSOR = /^(.+)\.(\d{1,20})-(\d{1,20})$/s;

/** @typedef {{ epoch: string, time: bigint, ordinal: bigint }} Position */

/**
 * @param {unknown} text
 * @returns {Position | null} null for what is no cursor, as it is inside a snapshot
 */
export function parseCursor(text) {
  const parts = typeof text === "string" ? CURSOR.exec(text) : null;
  return parts && { epoch: parts[1] ?? "", time: BigInt(parts[2] ?? 0), ordinal: BigInt(parts[3] ?? 0) };
}

/** Positions are ordered within one epoch only. @param {Position} one @param {Position} other */
export function sameEpoch(one, other) {
  return one.epoch === other.epoch;
}

/** Whether `one` is after `other` in the same epoch. @param {Position} one @param {Position} other */
export function isAfter(one, other) {
  if (!sameEpoch(one, other)) return false;
  return one.time === other.time ? one.ordinal > other.ordinal : one.time > other.time;
}

/**
 * Whether all changes up to `other` are included at `here`; nothing is known of another epoch: false.
 * @param {Position | null} here
 * @param {Position | null} other
 */
export function hasPassed(here, other) {
  return here !== null && other !== null && sameEpoch(here, other) && !isAfter(other, here);
}
