// @ts-check
/** A place in a sorted list, after which a window can begin: a plain value, which fits into a page's address. */

import { LiveOrdersError } from "./errors.js";

/** @typedef {import("./copy-state.js").Order} Order */
/**
 * `mark` is the server's word for it; `order` has the id of the order that was there and the field of `sort`.
 * @typedef {{ sort: string, mark: string, order: Order }} Place
 */

// The server marks an order whose key may not fit into a header by one before it and the number of orders since then.
const LONGEST_ID = 300;
const LONGEST_TEXT = 200;

/**
 * The place below the last of so many orders; null: there is no order below.
 * @param {string} sort
 * @param {number} count
 * @param {readonly Order[]} orders
 * @param {string} link the header `Link` of their list
 * @returns {Place | null}
 */
export function placeBelow(sort, count, orders, link) {
  const address = /<([^>]*)>; rel="next"/.exec(link)?.[1];
  if (address === undefined) return null;
  const mark = new URL(address, "http://localhost").searchParams.get("after");
  const field = sort.replace(/^-/, "");
  const order = orders.at(-1);
  // Where there are fewer, the last ones were left out, and the mark is that of one of those.
  if (!order || orders.length < count || mark === null || !isItsOwn(mark, order, field)) {
    throw new LiveOrdersError(
      `nextPlace: the ${field} of the last order cannot mark a place; end the window elsewhere`,
    );
  }
  const value = order[field];
  // Of an array, the order of the list knows only that it is one.
  return { sort, mark, order: Array.isArray(value) ? { _id: order._id, [field]: [] } : order };
}

/** Whether the mark is that of this very order. @param {string} mark @param {Order} order @param {string} field */
function isItsOwn(mark, order, field) {
  if (field === "_id") return mark === order._id;
  const value = order[field];
  const isShort = typeof value === "string" ? value.length <= LONGEST_TEXT : Object(value) !== value;
  return order._id.length <= LONGEST_ID && (isShort || Array.isArray(value));
}

/** Check a place that may come from an address. @param {any} place @param {string} sort */
export function checkPlace(place, sort) {
  if ([place?.sort, place?.mark, place?.order?._id].some((part) => typeof part !== "string")) {
    throw new LiveOrdersError("window.after must be what nextPlace gives");
  }
  if (place.sort !== sort) {
    throw new LiveOrdersError(`window.after: a place in a list that is sorted by ${place.sort}, not by ${sort}`);
  }
}
