// @ts-check
/** The ids of an unbroken part of a list that is sorted or searched: as `Listing`, but a change of an order may move it. */

import { isAfter } from "../clients/js/src/cursor.js";
import { canMark, compare } from "./ordering.js";

/** @typedef {import("../clients/js/src/cursor.js").Position} Cursor */
/** @typedef {import("./listing.js").Place} Place */
/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./ordering.js").Ordering} Ordering */
/** @typedef {import("./ordering.js").Rank} Rank */

export class SortedListing {
  #ordering;
  /** @type {string[]} */
  #ids = [];
  /** Null: only the server knows where it belongs. @type {Map<string, Rank | null>} */
  #ranks = new Map();
  /** Everything down to here is known; "end": down to the last order, null: down to a place that only the server knows. @type {Rank | "end" | null} */
  #bound = "end";
  #pages = 0;
  /** @type {string | null} */
  #mark = null;
  /** From each place down (null: from the top) everything is known as of the cursor. @type {{ below: Rank | null, cursor: Cursor }[]} */
  #read = [];
  /** The server's word for where it begins; null: with the first order of the list. @type {string | null} */
  #from;
  /** The place that this is: the orders there and above are not listed. @type {Rank | null} */
  #top;

  /** @param {Ordering} ordering @param {string | null} [from] @param {Rank | null} [top] */
  constructor(ordering, from = null, top = null) {
    this.#ordering = ordering;
    this.#from = from;
    this.#top = top;
  }

  get from() {
    return this.#from;
  }

  get top() {
    return this.#top;
  }

  /** Where the list can be entered below these orders; null: that is not known. */
  get end() {
    const [from, place] = [this.#mark, this.#bound];
    return from !== null && place !== null && place !== "end" && canMark(place) ? { from, place } : null;
  }

  /** @returns {readonly string[]} */
  get ids() {
    return this.#ids;
  }

  get whole() {
    return this.#bound === "end";
  }

  get after() {
    return this.#mark;
  }

  /** @returns {Cursor | null} */
  get readAt() {
    return this.#read.at(-1)?.cursor ?? null;
  }

  /** @param {string} id */
  has(id) {
    return this.#ranks.has(id);
  }

  /** When the list was read that says whether there is such an order where it belongs now. @param {string} id @param {Order | null} order @returns {Cursor | null} */
  asOf(id, order) {
    const rank = this.#ordering.rankOf(id, order);
    // Below the end of what was read, nothing is known.
    if (rank !== null && this.#bound !== "end" && (this.#bound === null || this.#isUnder(rank, this.#bound)))
      return null;
    const covers = (/** @type {Rank | null} */ below) =>
      below === null || (rank !== null && this.#isUnder(rank, below));
    return this.#read.findLast(({ below }) => covers(below))?.cursor ?? null;
  }

  /** @param {Cursor} cursor */
  passed(cursor) {
    if (this.#read.length > 1) this.#read = this.#read.filter((page) => !page.below || isAfter(page.cursor, cursor));
  }

  /**
   * @param {readonly string[]} kept
   * @param {{ id: string, order: Order } | null} last the last order of the page, whether kept or not
   * @param {string | null} next
   * @param {Cursor | null} cursor
   * @param {(id: string) => Order | null} orderOf
   */
  append(kept, last, next, cursor, orderOf) {
    const below = this.#pages === 0 || this.#bound === "end" ? null : this.#bound;
    // A page whose beginning only the server knows says of no order for certain that it is not there.
    if (cursor && (below !== null || this.#pages === 0)) this.#read.push({ below, cursor });
    this.#pages += 1;
    for (const id of kept) {
      if (this.has(id)) continue;
      this.#ranks.set(id, this.#ordering.rankOf(id, orderOf(id)));
      this.#ids.push(id);
    }
    this.#mark = next;
    this.#bound = next === null ? "end" : last && this.#ordering.rankOf(last.id, last.order);
  }

  /** @param {string} id @param {Order | null} order @returns {Place} */
  place(id, order) {
    const rank = this.#ordering.rankOf(id, order);
    if (rank === null) return this.#ids.length === 0 && this.whole && this.#top === null ? 0 : "unknown";
    if (this.#isAbove(rank)) return "outside";
    if (this.#bound === null) return "unknown";
    if (this.#bound !== "end" && this.#isUnder(rank, this.#bound)) return "outside";
    for (const [index, known] of this.#ids.entries()) {
      const other = this.#ranks.get(known) ?? null;
      if (other === null) return "unknown";
      if (known !== id && this.#isUnder(other, rank)) return index;
    }
    return this.#ids.length;
  }

  /** Whether a known order belongs somewhere else now. @param {string} id @param {Order} order */
  moves(id, order) {
    const [was, is] = [this.#ranks.get(id) ?? null, this.#ordering.rankOf(id, order)];
    return was === null || is === null || compare(this.#ordering, was, is) !== 0;
  }

  /** @param {string} id @param {number} index @param {Order} order */
  insert(id, index, order) {
    if (this.has(id)) return;
    this.#ranks.set(id, this.#ordering.rankOf(id, order));
    this.#ids.splice(index, 0, id);
  }

  /** @param {string} id */
  remove(id) {
    if (this.#ranks.delete(id)) this.#ids.splice(this.#ids.indexOf(id), 1);
  }

  /** @param {number} most @returns {string[]} */
  cut(most) {
    if (this.#ids.length <= most) return [];
    const dropped = this.#ids.splice(most);
    for (const id of dropped) this.#ranks.delete(id);
    this.#mark = null;
    this.#bound = this.#ranks.get(this.#ids.at(-1) ?? "") ?? null;
    return dropped;
  }

  /**
   * Forget the first orders, at most `count` of them, so that the list begins where it can be entered again.
   * @param {number} count
   * @param {readonly Mark[]} marks places that the server has given
   * @returns {string[]} what was forgotten
   */
  cutTop(count, marks) {
    /** @type {Mark | null} */
    let best = null;
    let most = 0;
    for (const mark of marks) {
      const above = mark.place && this.#countAbove(mark.place, count);
      if (above === null || above <= most) continue;
      [best, most] = [mark, above];
    }
    if (best === null) return [];
    const dropped = this.#ids.splice(0, most);
    for (const id of dropped) this.#ranks.delete(id);
    this.#from = best.from;
    this.#top = best.place;
    return dropped;
  }

  /** How many orders are above a place; null: more than `limit`, or only the server can tell. @param {Rank} place @param {number} limit */
  #countAbove(place, limit) {
    const beyond = this.#ranks.get(this.#ids[limit] ?? "") ?? null;
    if (beyond !== null && !this.#isUnder(beyond, place)) return null;
    let above = 0;
    for (const [index, id] of this.#ids.entries()) {
      const rank = this.#ranks.get(id) ?? null;
      if (rank === null) continue; // above, if one that follows is
      if (this.#isUnder(rank, place)) return index === above && above <= limit ? above : null;
      above = index + 1;
    }
    return above === this.#ids.length && above <= limit ? above : null;
  }

  /** Whether it belongs above all that is listed. @param {Rank} rank */
  #isAbove(rank) {
    return this.#top !== null && !this.#isUnder(rank, this.#top);
  }

  /** @param {Rank} one @param {Rank} other */
  #isUnder(one, other) {
    return compare(this.#ordering, one, other) > 0;
  }
}
