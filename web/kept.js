// @ts-check
/** The orders that are kept, each as of a position: changes older than that, or than a deletion, have no effect. */

import { isAfter } from "./cursor.js";
import { Listing } from "./listing.js";
import { idOf } from "./order.js";
import { Tombstones } from "./tombstones.js";

/** @typedef {import("./cursor.js").Cursor} Cursor */
/** @typedef {import("./order.js").Order} Order */

export class Kept {
  #listing = new Listing();
  /** @type {Map<string, { order: Order, cursor: Cursor | null }>} */
  #rows = new Map();
  #tombstones = new Tombstones();
  #most;

  /** @param {number} most beyond that the oldest are dropped */
  constructor(most) {
    this.#most = most;
  }

  /** Newest first. */
  get ids() {
    return this.#listing.ids;
  }

  /** Whether these are all orders. */
  get whole() {
    return this.#listing.whole;
  }

  /** The `after` of the page below; null if unknown. */
  get after() {
    return this.#listing.after;
  }

  /** The position of the last page; an older page must not be added below it. */
  get readAt() {
    return this.#listing.readAt;
  }

  /** @param {string} id */
  has(id) {
    return this.#rows.has(id);
  }

  /** @param {string} id */
  get(id) {
    return this.#rows.get(id)?.order ?? null;
  }

  /** @param {string} id @param {Cursor | null} cursor */
  isNews(id, cursor) {
    if (!cursor) return true;
    const known = [this.#listing.asOf(id), this.#rows.get(id)?.cursor ?? null, this.#tombstones.get(id)];
    return known.every((position) => position === null || isAfter(cursor, position));
  }

  /** Where an order belongs that is not here. @param {string} id */
  place(id) {
    return this.#listing.place(id);
  }

  /**
   * Add a page below the orders kept.
   * @param {import("./envelope.js").Page} page
   * @param {Cursor | null} cursor
   * @param {(order: Order) => boolean} passes
   */
  append({ orders, next }, cursor, passes) {
    const kept = [];
    let last = null;
    for (const document of orders) {
      const id = idOf(document);
      if (id === null) continue;
      last = id;
      const order = /** @type {Order} */ (document);
      if (!passes(order) || this.#rows.has(id) || this.#hasGone(id, cursor)) continue;
      this.#rows.set(id, { order, cursor });
      kept.push(id);
    }
    this.#listing.append(kept, last, next, cursor);
  }

  /** Whether the order was taken out after the page was read. @param {string} id @param {Cursor | null} cursor */
  #hasGone(id, cursor) {
    const taken = this.#tombstones.get(id);
    return taken !== null && cursor !== null && !isAfter(cursor, taken);
  }

  /** @param {string} id @param {Order} order @param {Cursor | null} cursor @param {number} index where it is new */
  put(id, order, cursor, index) {
    this.#rows.set(id, { order, cursor });
    this.#tombstones.delete(id);
    if (this.#listing.has(id)) return;
    this.#listing.insert(id, index);
    for (const dropped of this.#listing.cut(this.#most)) this.#rows.delete(dropped);
  }

  /** @param {string} id @param {Cursor | null} cursor */
  remove(id, cursor) {
    this.forget(id);
    this.#tombstones.set(id, cursor);
  }

  /** @param {string} id */
  forget(id) {
    if (this.#rows.delete(id)) this.#listing.remove(id);
  }

  /** @param {(order: Order) => boolean} passes */
  narrow(passes) {
    for (const [id, { order }] of this.#rows) if (!passes(order)) this.forget(id);
  }

  /** The stream has passed this position. @param {Cursor} cursor */
  passed(cursor) {
    this.#listing.passed(cursor);
  }
}
