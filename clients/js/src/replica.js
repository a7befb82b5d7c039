// @ts-check
/** A copy of all orders that fit: what the events of the stream make of it, without any network. */

import { CopyState } from "./copy-state.js";
import { hasPassed, parseCursor } from "./cursor.js";

/** @typedef {import("./copy-state.js").Order} Order */
/** @typedef {import("./copy-state.js").Change} Change */

/** While a snapshot is under way the former copy stays, marked as stale. */
export class Replica extends CopyState {
  /** @type {Map<string, Order>} */
  rows = new Map();
  /** A snapshot that is not complete. @type {Map<string, Order> | null} */
  #arriving = null;
  /** Orders that were fetched, and are newer than the copy. @type {Map<string, import("./cursor.js").Position>} */
  #ahead = new Map();

  /** A snapshot follows, because the changes since the last one cannot be delivered. @param {string} reason */
  begin(reason) {
    this.#arriving = null;
    if (this.isLoaded) this.doubt("snapshot", reason);
  }

  /** Take a part of a snapshot; part 0 begins a new one. @param {number} part @param {readonly Order[]} orders */
  add(part, orders) {
    if (part === 0 || this.#arriving === null) this.#arriving = new Map();
    for (const order of orders) this.#arriving.set(order._id, order);
  }

  /** The snapshot is complete, as of the cursor: it becomes the copy. @param {string} cursor */
  complete(cursor) {
    this.rows = this.#arriving ?? this.rows;
    this.#arriving = null;
    this.#ahead.clear();
    this.loaded(cursor);
  }

  /** Take a change. @param {Change} change @returns {boolean} false: it comes without its order, which has to be fetched */
  apply({ operation, id, data, cursor }) {
    this.cursor = cursor;
    if (hasPassed(this.#ahead.get(id) ?? null, this.position)) return true;
    this.#ahead.delete(id);
    if (operation === "DELETE") this.rows.delete(id);
    else if (data === null) return false;
    else this.rows.set(id, data);
    return true;
  }

  /**
   * Take an order that was fetched as of the cursor; null: there is none, or it is not ours to see.
   * @param {string} id
   * @param {Order | null} order
   * @param {string | null} cursor
   */
  amend(id, order, cursor) {
    const readAt = parseCursor(cursor);
    if (readAt) this.#ahead.set(id, readAt);
    if (order) this.rows.set(id, order);
    else this.rows.delete(id);
  }

  /** All changes up to the cursor have been sent, though none may have fitted the filter. @param {string} cursor */
  reached(cursor) {
    if (this.isLoaded && parseCursor(cursor)) this.cursor = cursor;
  }
}
