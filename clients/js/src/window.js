// @ts-check
/** The first orders of a sorted list, or after a place in it: what a list and its later changes make of them, without any network. */

import { CopyState } from "./copy-state.js";
import { hasPassed, parseCursor } from "./cursor.js";
import { LiveOrdersError } from "./errors.js";
import { checkPlace } from "./place.js";
import { Sorting } from "./sorting.js";

/** @typedef {import("./copy-state.js").Change} Change */
/** @typedef {import("./copy-state.js").Order} Order */
/** @typedef {{ sort?: string, limit: number, skip?: number, after?: import("./place.js").Place | null }} WindowOptions */

export const LONGEST_LIST = 500; // orders; the server gives no more in one answer
const LEAST_RESERVE = 20;

/**
 * It keeps an unbroken part of the list from its beginning or a place on, more than is shown: so that deletions do not need
 * another list each. A change that it cannot place leaves it as it was, at its cursor, and a later list has to be loaded.
 */
export class Window extends CopyState {
  #sorting;
  #skip;
  #reach;
  #most;
  /** Only what comes after this order, as it was, belongs to the list. @type {Order | null} */
  #top;
  /** @type {readonly Order[]} */
  #known = [];
  /** The orders up to this one, as it was, are all known; null: all orders, or none. @type {Order | null} */
  #bound = null;
  #isWhole = false;
  /** @type {ReadonlyMap<string, Order> | null} */
  #rows = null;
  /** What `with` has made last. @type {{ written: ReadonlyMap<string, Order | null>, rows: ReadonlyMap<string, Order> } | null} */
  #shown = null;

  /** @param {WindowOptions} options */
  constructor({ sort = "-_id", limit, skip = 0, after = null }) {
    super();
    this.#sorting = new Sorting(sort);
    this.sort = sort;
    if (!this.#sorting.isKnown) throw new LiveOrdersError(`window.sort: there is no order ${sort}`);
    if (!(Number.isInteger(limit) && limit > 0)) throw new LiveOrdersError("window.limit must be 1 or more");
    if (!(Number.isInteger(skip) && skip >= 0)) throw new LiveOrdersError("window.skip must be 0 or more");
    this.#skip = skip;
    this.#reach = skip + limit;
    if (this.#reach > LONGEST_LIST) throw new LiveOrdersError(`window.skip + window.limit: ${LONGEST_LIST} at most`);
    this.#most = Math.min(LONGEST_LIST, this.#reach + Math.max(limit, LEAST_RESERVE));
    if (after !== null) checkPlace(after, sort);
    this.#top = after && after.order;
  }

  /** How many orders of the list it reaches to. */
  get reach() {
    return this.#reach;
  }

  /** How many orders a list has to have. */
  get most() {
    return this.#most;
  }

  /** The orders of the window at its cursor, in their order. @returns {ReadonlyMap<string, Order>} */
  get rows() {
    this.#rows ??= this.#cut(this.#known);
    return this.#rows;
  }

  /**
   * The same with some orders replaced, or left out (null).
   * @param {ReadonlyMap<string, Order | null>} written
   * @returns {ReadonlyMap<string, Order>}
   */
  with(written) {
    if (written.size === 0) return this.rows;
    if (this.#shown?.written !== written) this.#shown = { written, rows: this.#cut(this.#changed(written)) };
    return this.#shown.rows;
  }

  /** @param {ReadonlyMap<string, Order | null>} written */
  #changed(written) {
    const known = [...this.#known];
    for (const [id, order] of written) {
      const was = known.findIndex(({ _id }) => _id === id);
      if (was >= 0) known.splice(was, 1);
      const isOutside = order === null || this.#isOutside(order);
      if (order === null || isOutside === true) continue;
      const place = isOutside === null ? null : this.#sorting.place(known, order);
      // Until the server tells its place, it keeps the one that it had.
      if (place !== null || was >= 0) known.splice(place ?? was, 0, order);
    }
    return known;
  }

  /** Take the beginning of the list, or of what follows the place. @param {readonly Order[]} orders @param {boolean} hasMore @param {string} cursor */
  load(orders, hasMore, cursor) {
    this.#keep(orders, hasMore ? (orders.at(-1) ?? null) : null, !hasMore);
    this.loaded(cursor);
  }

  /**
   * Take a change, unless the list has it already.
   * @param {Change} change
   * @returns {"applied" | "known" | "unclear"} unclear: a list has to be loaded that was read after the change
   */
  apply({ operation, id, data, cursor }) {
    if (hasPassed(this.position, parseCursor(cursor))) return "known";
    const others = this.#known.filter(({ _id }) => _id !== id);
    if (operation !== "DELETE") {
      const isOutside = data && this.#isOutside(data);
      if (data === null || isOutside === null) return "unclear";
      const place = isOutside ? 0 : this.#sorting.place(others, data);
      if (place === null) return "unclear";
      if (!isOutside) others.splice(place, 0, data);
    }
    if (others.length < this.#reach && !this.#isWhole) return "unclear";
    if (others.length > this.#most) {
      others.length = this.#most;
      this.#keep(others, others[this.#most - 1] ?? null, false);
    } else {
      this.#keep(others, this.#bound, this.#isWhole);
    }
    this.cursor = cursor;
    return "applied";
  }

  /** All changes up to the cursor have been sent. @param {string} cursor */
  reached(cursor) {
    const position = parseCursor(cursor);
    // A list may have been read later than what the stream has sent.
    if (this.isLoaded && hasPassed(position, this.position)) this.cursor = cursor;
  }

  /** Whether an order comes before the list or after all that are known; null: only the server can tell. @param {Order} order */
  #isOutside(order) {
    const fromTop = this.#top === null ? 1 : this.#sorting.compare(order, this.#top);
    const fromBound = this.#isWhole ? 0 : this.#bound && this.#sorting.compare(order, this.#bound);
    if ((fromTop !== null && fromTop <= 0) || (fromBound !== null && fromBound > 0)) return true;
    return fromTop === null || fromBound === null ? null : false;
  }

  /** @param {readonly Order[]} known @param {Order | null} bound @param {boolean} isWhole */
  #keep(known, bound, isWhole) {
    this.#known = known;
    this.#bound = bound;
    this.#isWhole = isWhole;
    this.#rows = null;
    this.#shown = null;
  }

  /** @param {readonly Order[]} known @returns {ReadonlyMap<string, Order>} */
  #cut(known) {
    return new Map(known.slice(this.#skip, this.#reach).map((order) => [order._id, order]));
  }
}
