// @ts-check
/** The ids of the known orders: an unbroken part of the server's list (descending `_id`), and where it begins and ends. */

import { isAfter } from "../clients/js/src/cursor.js";
import { isObjectId } from "./order.js";

/** @typedef {import("../clients/js/src/cursor.js").Position} Cursor */
/** Where an order belongs: an index of `ids`; "outside" what is known; "unknown" where only the server can tell. @typedef {number | "outside" | "unknown"} Place */

/**
 * ObjectIds compare as their texts do. Ids of other types come before or after all of them, in an order that only the
 * server knows: such an id stays where the server listed it, and the place of a new one has to be fetched from the server.
 */
export class Listing {
  /** @type {string[]} */
  #ids = [];
  /** @type {Set<string>} */
  #known = new Set();
  /** The orders below this ObjectId are listed; null: from the newest on. @type {string | null} */
  #from;
  /** The last id that was listed; every order from `#from` down to it is known. Null: down to the oldest. @type {string | null} */
  #bound;
  /** Whether all ObjectIds are above the bound, although the bound is not an ObjectId. */
  #belowObjectIds = false;
  /** What the server calls the bound, where it is not the id itself. @type {string | null} */
  #mark = null;
  /** From each id down (null: from the top) everything is known as of the cursor. @type {{ below: string | null, cursor: Cursor }[]} */
  #read = [];

  /** @param {string | null} [from] list the orders below this ObjectId only */
  constructor(from = null) {
    this.#from = from;
    this.#bound = from;
  }

  /** The ObjectId below which the list begins; null: it begins with the newest order. */
  get from() {
    return this.#from;
  }

  /** Newest first. @returns {readonly string[]} */
  get ids() {
    return this.#ids;
  }

  /** Whether there is nothing below. */
  get whole() {
    return this.#bound === null;
  }

  /** The `after` of the page below the bound; null if unknown. */
  get after() {
    return this.#mark ?? (this.#bound !== null && isObjectId(this.#bound) ? this.#bound : null);
  }

  /** When the last page was read. @returns {Cursor | null} */
  get readAt() {
    return this.#read.at(-1)?.cursor ?? null;
  }

  /** @param {string} id */
  has(id) {
    return this.#known.has(id);
  }

  /** When the list was read that says whether there is such an order. @param {string} id @returns {Cursor | null} */
  asOf(id) {
    return this.#read.findLast(({ below }) => below === null || isUnder(id, below))?.cursor ?? null;
  }

  /** The stream has passed this position: no page that was read before matters any more. @param {Cursor} cursor */
  passed(cursor) {
    if (this.#read.length > 1) this.#read = this.#read.filter((page) => !page.below || isAfter(page.cursor, cursor));
  }

  /**
   * Add a page of the server's list below the known orders.
   * @param {readonly string[]} kept the ids, those left out that are of no interest
   * @param {{ id: string } | null} last the last order of the page, whether kept or not
   * @param {string | null} next the `after` of the page below; null: there is none
   * @param {Cursor | null} cursor when the page was read
   */
  append(kept, last, next, cursor) {
    if (cursor) this.#read.push({ below: this.#bound, cursor });
    for (const id of kept) {
      if (this.#known.has(id)) continue;
      this.#known.add(id);
      this.#ids.push(id);
    }
    this.#setBound(next === null ? null : (last?.id ?? this.#bound), next);
  }

  /** @param {string} id @returns {Place} */
  place(id) {
    if (this.#known.has(id)) return this.#ids.indexOf(id);
    const [from, bound] = [this.#from, this.#bound];
    if (!isObjectId(id)) return this.#placeOfOther();
    if (from !== null && id >= from) return "outside";
    if (bound !== null && isObjectId(bound)) {
      if (id < bound) return "outside";
    } else if (bound !== null && !this.#belowObjectIds) {
      return "unknown";
    }
    return this.#among(id);
  }

  /** Where an id belongs that is no ObjectId. @returns {Place} */
  #placeOfOther() {
    if (this.#from === null) return this.#ids.length === 0 && this.whole ? 0 : "unknown";
    // Between two ObjectIds there are only ObjectIds.
    return this.#bound !== null && isObjectId(this.#bound) ? "outside" : "unknown";
  }

  /** Add an order at the place that `place` gave. @param {string} id @param {number} index */
  insert(id, index) {
    if (this.#known.has(id)) return;
    this.#known.add(id);
    this.#ids.splice(index, 0, id);
  }

  /** @param {string} id */
  remove(id) {
    if (this.#known.delete(id)) this.#ids.splice(this.#ids.indexOf(id), 1);
  }

  /** Forget what lies below the first `most`. @param {number} most @returns {string[]} what was forgotten */
  cut(most) {
    if (this.#ids.length <= most) return [];
    const dropped = this.#ids.splice(most);
    for (const id of dropped) this.#known.delete(id);
    this.#setBound(this.#ids.at(-1) ?? null, null);
    return dropped;
  }

  /**
   * Forget the first orders, so that the list begins below an ObjectId: at most `count` of them.
   * @param {number} count
   * @returns {string[]} what was forgotten
   */
  cutTop(count) {
    const last = this.#ids.slice(0, count).findLastIndex(isObjectId);
    const dropped = this.#ids.splice(0, last + 1);
    for (const id of dropped) this.#known.delete(id);
    this.#from = dropped.at(-1) ?? this.#from;
    return dropped;
  }

  /** Where an ObjectId at or above the bound belongs. @param {string} id @returns {Place} */
  #among(id) {
    const lower = this.#ids.findIndex((known) => isObjectId(known) && known < id);
    if (lower >= 0) return lower;
    const last = this.#ids.findLastIndex(isObjectId);
    if (last >= 0) return last + 1;
    if (this.#from !== null) return 0; // ids of other types that follow an ObjectId follow all of them
    // No ObjectId to compare with: nothing is known below a bound that is one, so the known ids are above it.
    const allAbove = this.#bound !== null && isObjectId(this.#bound);
    return this.#ids.length === 0 || allAbove ? this.#ids.length : "unknown";
  }

  /** @param {string | null} bound @param {string | null} mark */
  #setBound(bound, mark) {
    if (bound !== null && !isObjectId(bound)) this.#belowObjectIds = this.#from !== null || this.#ids.some(isObjectId);
    this.#bound = bound;
    this.#mark = mark;
  }
}

/** Whether an order is listed below another, as far as the ids tell. @param {string} id @param {string} other */
function isUnder(id, other) {
  return isObjectId(id) && isObjectId(other) && id < other;
}
