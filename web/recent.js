// @ts-check
/** The last stretch of the stream of changes: a tab that joins or takes over the shared connection goes on from there. */

import { isAfter, parseCursor, sameEpoch } from "../clients/js/src/cursor.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */

/** Beyond that the oldest is dropped; a tab that is so far behind reads its list again. */
const MOST = 500;

export class Recent {
  /** How far the stream has come: the next change is the first one after it. @type {string | null} */
  position = null;
  /** Every change after this one is kept; null: none is. @type {string | null} */
  #since = null;
  /** @type {Envelope[]} */
  #changes = [];

  /** The changes after this position follow. @param {string | null} cursor */
  begin(cursor) {
    this.position = this.#since = cursor;
    this.#changes = [];
  }

  /**
   * As `begin`, but at the earliest from where the stream has been already.
   * @param {string | null} cursor
   * @returns {string | null} from where
   */
  goOn(cursor) {
    const from = this.notBefore(cursor);
    this.begin(from);
    return from;
  }

  /** This position, or where the stream has been already. @param {string | null} cursor */
  notBefore(cursor) {
    const [next, here] = [parseCursor(cursor), parseCursor(this.position)];
    return next && here && isAfter(here, next) ? this.position : cursor;
  }

  /** @param {Envelope} change @returns {boolean} false: it has been here before */
  add(change) {
    const [next, here] = [parseCursor(change.cursor), parseCursor(this.position)];
    if (!next) return true; // nobody can tell
    if (!here || !sameEpoch(next, here)) {
      this.begin(change.cursor);
      return true;
    }
    if (!isAfter(next, here)) return false;
    this.position = change.cursor;
    this.#changes.push(change);
    if (this.#changes.length > MOST) this.#since = this.#changes.shift()?.cursor ?? null;
    return true;
  }

  /** There is nothing more up to this position. @param {string} cursor */
  reached(cursor) {
    const [next, here] = [parseCursor(cursor), parseCursor(this.position)];
    if (next && here && isAfter(next, here)) this.position = cursor;
  }

  /** Up to this position, changes are missing of orders that are wanted now. @param {string | null} cursor */
  forgetUpTo(cursor) {
    const limit = parseCursor(cursor);
    if (!limit) {
      this.begin(this.position);
      return;
    }
    this.#changes = this.#changes.filter((change) => isLater(change.cursor, limit));
    const since = parseCursor(this.#since);
    if (!since || isAfter(limit, since)) this.#since = cursor;
  }

  /** The changes after a position; null: not all of them are kept. @param {string | null} cursor @returns {Envelope[] | null} */
  after(cursor) {
    const [from, since] = [parseCursor(cursor), parseCursor(this.#since)];
    if (!from || !since || !sameEpoch(from, since) || isAfter(since, from)) return null;
    return this.#changes.filter((change) => isLater(change.cursor, from));
  }

  copy() {
    const copy = new Recent();
    copy.position = this.position;
    copy.#since = this.#since;
    copy.#changes = [...this.#changes];
    return copy;
  }
}

/** @param {string} text @param {import("../clients/js/src/cursor.js").Position} other */
function isLater(text, other) {
  const cursor = parseCursor(text);
  return cursor !== null && isAfter(cursor, other);
}
