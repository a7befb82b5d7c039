// @ts-check
/** The order of a sorted list, as MongoDB has it and as far as JSON values tell it. */

import { byCodePoints } from "./code-points.js";

/** @typedef {import("./copy-state.js").Order} Order */
/** What values are compared by: those of a lower rank come first. @typedef {{ rank: number, value: string | number }} Key */

const FIELDS = ["_id", "updated_at", "customer_name", "product_name", "status"];
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
// In JSON these may be dates, large or decimal numbers, ObjectIds or UUIDs as well as texts.
const DOUBTFUL =
  /^(?:[+-]?\d{4,6}-\d\d-\d\dT.*Z|-?\d+(?:\.\d+)?(?:E[+-]?\d+)?|-?Infinity|NaN|[0-9a-f]{24}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const OBJECT_ID = /^[0-9a-f]{24}$/;
const MARK = "~"; // of ids that are neither an ObjectId nor an ordinary string
const MARKED_STRING = "~s";
const NOTHING = 0;
const NUMBER = 1;
const TEXT = 2;
const LATER = 3; // ObjectIds and dates, which are never compared with each other here

export class Sorting {
  #field;
  #isDescending;

  /** @param {string} sort a field, with `-` in front for descending order */
  constructor(sort) {
    this.#isDescending = sort.startsWith("-");
    this.#field = this.#isDescending ? sort.slice(1) : sort;
  }

  /** Whether there is such an order. */
  get isKnown() {
    return FIELDS.includes(this.#field);
  }

  /**
   * Negative where the first order comes first; null: only the server can tell.
   * @param {Order} one
   * @param {Order} other
   * @returns {number | null}
   */
  compare(one, other) {
    const [a, b] = [one[this.#field], other[this.#field]];
    let found = 0;
    if (this.#field !== "_id") {
      // In either direction, orders with an array in the field come last, by id.
      if (Array.isArray(a) !== Array.isArray(b)) return Array.isArray(a) ? 1 : -1;
      if (!Array.isArray(a)) {
        const keys = [keyOf(a, this.#field), keyOf(b, this.#field)];
        if (!keys[0] || !keys[1]) return null;
        found = compared(keys[0], keys[1]);
      }
    }
    if (found === 0) {
      const ids = [idKey(one._id), idKey(other._id)];
      if (one._id === other._id) return 0;
      if (!ids[0] || !ids[1]) return null;
      found = compared(ids[0], ids[1]);
    }
    return this.#isDescending ? -found : found;
  }

  /**
   * Where an order belongs among sorted ones; null: only the server can tell.
   * @param {readonly Order[]} orders
   * @param {Order} order
   */
  place(orders, order) {
    let [low, high] = [0, orders.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const found = this.compare(order, /** @type {Order} */ (orders[middle]));
      if (found === null) return null;
      if (found < 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** @param {unknown} value @param {string} field @returns {Key | null} */
function keyOf(value, field) {
  if (value === undefined || value === null) return { rank: NOTHING, value: 0 };
  if (typeof value === "number") return { rank: NUMBER, value };
  if (typeof value !== "string") return null;
  if (field === "updated_at") return DATE.test(value) ? { rank: LATER, value } : null;
  return DOUBTFUL.test(value) ? null : { rank: TEXT, value };
}

/** @param {string} id @returns {Key | null} */
function idKey(id) {
  if (OBJECT_ID.test(id)) return { rank: LATER, value: id };
  if (id.startsWith(MARKED_STRING)) return { rank: TEXT, value: id.slice(MARKED_STRING.length) };
  return id.startsWith(MARK) ? null : { rank: TEXT, value: id };
}

/** @param {Key} a @param {Key} b */
function compared(a, b) {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (typeof a.value === "number" && typeof b.value === "number") return a.value - b.value;
  return byCodePoints(String(a.value), String(b.value));
}
