// @ts-check
/** Which part of the list the store keeps: where it begins, how much is above it, and how many orders it needs. */

import { Marks } from "./marks.js";

/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {import("./ordering.js").Rank} Rank */

export class Stretch {
  /** Where it is to begin: the `from` of a mark; null: with the first order of the list. @type {string | null} */
  start = null;
  /** The place that this is, in a sorted list. @type {Rank | null} */
  #place = null;
  /** How many orders there are above: exactly where it begins with the first, otherwise as counted when they were passed. */
  above = 0;
  #marks = new Marks();
  /** How many orders at the top are needed no longer. */
  #spare = 0;
  /** How many that were when a place was asked for last. */
  #asked = 0;
  #most;
  #wanted;
  #margin;

  /**
   * @param {number} most how many orders there are at most
   * @param {number} wanted how many are needed at first
   * @param {number} margin how many are needed above and below those in view
   */
  constructor(most, wanted, margin) {
    this.#most = most;
    this.#wanted = wanted;
    this.#margin = margin;
  }

  /** How many orders are needed. */
  get wanted() {
    return this.#wanted;
  }

  /** Below how many orders a place is to be asked for, because those above are needed no longer; 0: none is. */
  get stuck() {
    // Again only when one has scrolled on by so many: the last place was of no use.
    if (this.#spare < this.#asked + Math.ceil(this.#margin / 4)) return 0;
    // Some of those above what is in view may go before the answer is there.
    return Math.max(1, this.#spare - Math.floor(this.#margin / 2));
  }

  /** Where the list can be entered. @returns {readonly Mark[]} */
  get marks() {
    return this.#marks.all;
  }

  /** The place in a sorted list that the server calls so; null: it is not known any more. @param {string} from */
  placeOf(from) {
    return from === this.start ? this.#place : (this.#marks.at(from)?.place ?? null);
  }

  /** How many orders a list needs that replaces a part which begins at `from`. @param {string | null} from */
  neededFor(from) {
    return this.start === null && from === null ? this.#wanted : this.#most;
  }

  /**
   * The user looks at these orders, by their indexes in the part that begins at `from`.
   * @param {number} first
   * @param {number} last
   * @param {string | null} from
   * @param {number} size
   * @returns {number} how many orders at the top are needed no longer
   */
  look(first, last, from, size) {
    const margin = this.#margin;
    this.#spare = 0;
    if ((from !== null && first < margin / 2) || first > size + margin) {
      this.#begin(this.#marks.before(Math.max(0, this.above + first - margin)));
      if (this.start !== from) return 0;
    }
    if (last + margin > this.#most && first > margin) this.#spare = first - margin;
    else this.#asked = 0;
    this.#wanted = Math.min(this.#most, Math.max(this.#wanted, last + margin));
    return this.#spare;
  }

  /** So many orders at the top have been dropped, and it begins there. @param {number} count @param {string | null} from @param {Rank | null} place */
  dropped(count, from, place) {
    this.above += count;
    this.#unstuck();
    const mark = from === null ? null : { above: this.above, from, place };
    this.#begin(mark);
    if (mark) this.#marks.add(mark);
  }

  /** A place was asked for. */
  asked() {
    this.#asked = this.#spare;
  }

  /** The list can be entered below so many orders of it. @param {number} count @param {{ from: string, place: Rank }} found */
  found(count, { from, place }) {
    this.#marks.add({ above: this.above + count, from, place });
  }

  /** A list has replaced it. @param {string | null} from @param {boolean} moved @param {boolean} empty */
  replaced(from, moved, empty) {
    this.#unstuck();
    if (from === null) this.above = 0;
    else if (moved) this.above = this.#marks.at(from)?.above ?? this.above;
    if (this.start === from && from !== null && empty) this.toTop(); // they have all gone
  }

  toTop() {
    this.#begin(null);
  }

  /** Another list is shown: it begins at its top. */
  reset() {
    this.#marks.clear();
    this.#unstuck();
    this.toTop();
  }

  #unstuck() {
    this.#spare = this.#asked = 0;
  }

  /** @param {Mark | null} mark */
  #begin(mark) {
    this.start = mark?.from ?? null;
    this.#place = mark?.place ?? null;
    if (mark) this.#wanted = this.#most;
  }
}
