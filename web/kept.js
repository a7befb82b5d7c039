// @ts-check
/** The orders that are kept, each as of a position: changes older than that, or than a deletion, have no effect. */

import { isAfter } from "../clients/js/src/cursor.js";
import { Listing } from "./listing.js";
import { idOf } from "./order.js";
import { SortedListing } from "./sorted-listing.js";
import { Tombstones } from "./tombstones.js";

/** @typedef {import("../clients/js/src/cursor.js").Position} Cursor */
/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./ordering.js").Rank} Rank */

export class Kept {
  #listing;
  /** @type {Map<string, { order: Order, cursor: Cursor | null }>} */
  #rows = new Map();
  #tombstones = new Tombstones();
  #most;

  /**
   * @param {number} most beyond that the oldest are dropped
   * @param {string | null} [from] only the orders below this ObjectId, or mark of the sorted list
   * @param {import("./ordering.js").Ordering | null} [ordering] null: newest first
   * @param {Rank | null} [top] the place of the mark
   */
  constructor(most, from = null, ordering = null, top = null) {
    this.#most = most;
    this.#listing = ordering ? new SortedListing(ordering, from, top) : new Listing(from);
  }

  /** In the order of the list. */
  get ids() {
    return this.#listing.ids;
  }

  /** Where the orders begin, as the server calls it; null: they begin with the first of the list. */
  get from() {
    return this.#listing.from;
  }

  /** In a sorted list, the place that this is. */
  get top() {
    return this.#listing instanceof SortedListing ? this.#listing.top : null;
  }

  /** In a sorted list, where it can be entered below these orders. */
  get end() {
    return this.#listing instanceof SortedListing ? this.#listing.end : null;
  }

  /** Whether there are no orders below these. */
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

  /** @param {string} id @param {Cursor | null} cursor @param {Order | null} [order] as it is then */
  isNews(id, cursor, order = null) {
    if (!cursor) return true;
    const known = [this.#listing.asOf(id, order), this.#rows.get(id)?.cursor ?? null, this.#tombstones.get(id)];
    return known.every((position) => position === null || isAfter(cursor, position));
  }

  /** Where an order belongs that is not here. @param {string} id @param {Order | null} order */
  place(id, order) {
    return this.#listing.place(id, order);
  }

  /** Whether an order that is here belongs somewhere else now. @param {string} id @param {Order} order */
  moves(id, order) {
    return this.#listing instanceof SortedListing && this.#listing.moves(id, order);
  }

  /** @param {string} id @param {Order} order @param {Cursor | null} cursor @param {number} index where it belongs now */
  move(id, order, cursor, index) {
    const from = this.#listing.ids.indexOf(id);
    this.forget(id);
    this.put(id, order, cursor, index > from && from >= 0 ? index - 1 : index);
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
      const order = /** @type {Order} */ (document);
      last = { id, order };
      // In a sorted list, it may have come here from above since that was read.
      if (this.#isOlder(id, cursor)) this.forget(id);
      if (!passes(order) || this.#rows.has(id) || this.#hasGone(id, cursor)) continue;
      this.#rows.set(id, { order, cursor });
      kept.push(id);
    }
    this.#listing.append(kept, last, next, cursor, (id) => this.get(id));
  }

  /** Whether what is known of an order is older than a page. @param {string} id @param {Cursor | null} cursor */
  #isOlder(id, cursor) {
    const known = this.#rows.get(id)?.cursor ?? null;
    return known !== null && cursor !== null && isAfter(cursor, known);
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
    this.#listing.insert(id, index, order);
    for (const dropped of this.#listing.cut(this.#most)) this.#rows.delete(dropped);
  }

  /** Drop the first: at most `count` of them. @param {number} count @param {readonly import("./marks.js").Mark[]} marks @returns {number} how many */
  cutTop(count, marks) {
    const dropped = this.#listing.cutTop(count, marks);
    for (const id of dropped) this.#rows.delete(id);
    return dropped.length;
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
