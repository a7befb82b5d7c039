// @ts-check
/** The last minute of changes, second by second, in memory that does not grow: how many, and how late they were seen. */

const SECONDS = 60;
/** Times are counted in classes, eight to each doubling: exact to a twentieth, up to a minute and more. */
const PER_DOUBLING = 8;
const CLASSES = 17 * PER_DOUBLING;

/** `median` and `slowest` (the 99th percentile) are milliseconds, null where there was no change. @typedef {{ perSecond: number, median: number | null, slowest: number | null, counts: number[] }} Figures */

export class Minute {
  /** For each second how many changes of each class. */
  #seen = new Uint32Array(SECONDS * CLASSES);
  #counts = new Uint32Array(SECONDS);
  #began;
  /** The newest second that has a place. */
  #second;

  /** @param {number} now milliseconds */
  constructor(now) {
    this.#began = this.#second = Math.floor(now / 1000);
  }

  /**
   * Note a change.
   * @param {number} late how many milliseconds after its commit it was seen
   * @param {number} now
   */
  note(late, now) {
    this.#pass(now);
    const place = this.#second % SECONDS;
    const at = Math.min(CLASSES - 1, Math.floor(Math.log2(Math.max(0, late) + 1) * PER_DOUBLING));
    this.#seen[place * CLASSES + at] = (this.#seen[place * CLASSES + at] ?? 0) + 1;
    this.#counts[place] = (this.#counts[place] ?? 0) + 1;
  }

  /** The figures of the last minute, the oldest second first. @param {number} now @returns {Figures} */
  figures(now) {
    this.#pass(now);
    const first = this.#second - SECONDS + 1;
    const counts = Array.from({ length: SECONDS }, (_, index) => this.#counts[(first + index) % SECONDS] ?? 0);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const watched = Math.min(SECONDS, this.#second - this.#began + 1);
    return { perSecond: total / watched, median: this.#at(0.5, total), slowest: this.#at(0.99, total), counts };
  }

  /** @param {number} share @param {number} total */
  #at(share, total) {
    if (total === 0) return null;
    let left = Math.ceil(share * total);
    for (let at = 0; at < CLASSES; at += 1) {
      for (let place = 0; place < SECONDS; place += 1) left -= this.#seen[place * CLASSES + at] ?? 0;
      if (left <= 0) return Math.round(2 ** ((at + 0.5) / PER_DOUBLING) - 1);
    }
    return null;
  }

  /** Make room for the seconds that have begun since. @param {number} now */
  #pass(now) {
    const second = Math.floor(now / 1000);
    const passed = Math.min(SECONDS, second - this.#second);
    if (passed <= 0) return; // a clock that is set back counts for the same second
    for (let each = second - passed + 1; each <= second; each += 1) {
      this.#counts[each % SECONDS] = 0;
      this.#seen.fill(0, (each % SECONDS) * CLASSES, ((each % SECONDS) + 1) * CLASSES);
    }
    this.#second = second;
  }
}
