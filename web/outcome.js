// @ts-check
/** Finds out the outcome of a write whose answer never came. */

import { idOf, isObjectId } from "./order.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {{ pause: (milliseconds: number) => Promise<void>, now: () => number }} Time */

/** The server gives up on its database before that: a write that has not happened by then never will. */
export const SETTLED_MS = 8000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 4000;
/** Servers' clocks differ by that much, and the time in an ObjectId has no more than seconds. */
const CLOCKS_DIFFER_MS = 5000;

/**
 * Look until the write is seen, or until it is too late for it to happen.
 * @template T
 * @param {() => Promise<T | null>} look what it has led to; null: nothing yet
 * @param {Time} time
 * @returns {Promise<T | null>} null: it was not done
 */
export async function findOut(look, { pause, now }) {
  const began = now();
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    const asked = now();
    try {
      const found = await look();
      if (found !== null || asked - began >= SETTLED_MS) return found;
    } catch {
      // No answer to this request either: ask again, however long that takes.
    }
    await pause(wait);
  }
}

/**
 * The order that a request created, recognised by its fields and its age.
 * @param {readonly unknown[]} orders
 * @param {Order} fields
 * @param {Set<string>} known ids that were there before
 * @param {number | null} since no younger ones were asked for, by the server's clock; null: nobody knows
 * @returns {string | null} its id
 */
export function madeBy(orders, fields, known, since) {
  const wanted = Object.entries(fields).map(([field, value]) => [field, String(value).trim()]);
  for (const order of orders) {
    const id = idOf(order);
    if (id === null || !isObjectId(id) || known.has(id)) continue;
    const madeAt = parseInt(id.slice(0, 8), 16) * 1000;
    if (since !== null && madeAt < since - CLOCKS_DIFFER_MS) continue;
    const found = /** @type {Order} */ (order);
    if (wanted.every(([field, value]) => found[/** @type {string} */ (field)] === value)) return id;
  }
  return null;
}
