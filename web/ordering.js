// @ts-check
/** The order of a list that is sorted or searched, as the server has it, as far as what an order shows here tells. */

import { byCodePoints } from "../clients/js/src/code-points.js";
import { isObjectId, textOf } from "./order.js";

/** @typedef {import("./order.js").Order} Order */
/**
 * A place in such an order: first by `part`, then by `key`, then by id. Null: only the server knows it.
 * @typedef {{ part: number, key: string, id: string }} Rank
 */
/** @typedef {{ rankOf(id: string, order: Order | null): Rank | null, descending: boolean }} Ordering */

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const HEX = /^[0-9a-f]{1,24}$/;
/** The server marks what is longer by the last order before it whose text is not, and a number of orders after that. */
const LONGEST_KEY = 200;
/** A text that might be mistaken for another kind of id. */
const MARKED_TEXT = "~s";

/** @param {string} sort as the API takes it @returns {Ordering} */
export function sortedBy(sort) {
  const descending = sort.startsWith("-");
  const field = sort.replace(/^-/, "");
  return {
    descending,
    rankOf(id, order) {
      const key = field === "_id" ? id : order?.[field];
      // Other values, and those that are missing, are sorted by their types too.
      const isKnown = field === "_id" || (field === "updated_at") === DATE.test(textOf(key, 100));
      return typeof key === "string" && isKnown && isObjectId(id) ? { part: 0, key, id } : null;
    },
  };
}

/** As found by a search: by what an order is found, then in ascending order. @param {string} sought @returns {Ordering} */
export function foundBy(sought) {
  return {
    descending: false,
    rankOf(id, order) {
      const part = partOf(sought, id, order);
      if (part === null || !isObjectId(id)) return null;
      const key = part < 2 ? id : order?.[part === 2 ? "customer_name" : "product_name"];
      return typeof key === "string" ? { part, key, id } : null;
    },
  };
}

/** By what an order is found: its id (0, 1), its customer (2) or its product (3); null: it is not. @param {string} sought @param {string} id @param {Order | null} order */
export function partOf(sought, id, order) {
  const digits = sought.toLowerCase();
  if (isObjectId(id)) {
    if (HEX.test(digits) && id.startsWith(digits)) return 0;
  } else {
    const text = id.startsWith(MARKED_TEXT) ? id.slice(MARKED_TEXT.length) : id.startsWith("~") ? null : id;
    if (text?.startsWith(sought)) return 1;
  }
  if (startsWith(order?.customer_name, sought)) return 2;
  if (startsWith(order?.product_name, sought)) return 3;
  return null;
}

/** @param {unknown} value @param {string} beginning */
function startsWith(value, beginning) {
  return typeof value === "string" && value.startsWith(beginning);
}

/** Whether the mark that the server gives for an order is its place, and not that of another before it. @param {Rank} rank */
export function canMark({ key }) {
  return key.length <= LONGEST_KEY;
}

/** Less than 0: the first one is listed first. @param {Ordering} ordering @param {Rank} one @param {Rank} other */
export function compare({ descending }, one, other) {
  const ascending = one.part - other.part || byCodePoints(one.key, other.key) || byCodePoints(one.id, other.id);
  return descending ? -ascending : ascending;
}
