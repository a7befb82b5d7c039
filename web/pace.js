// @ts-check
/** Whether changes come slowly enough to be followed by eye. */

/** How many changes a second are shown with animations: of more, nobody could follow any. */
const MOST_PER_SECOND = 50;

export class Pace {
  /** How many changes there were within about the last second. */
  #level = 0;
  #at = 0;

  /** @param {number} count @param {number} now milliseconds */
  note(count, now) {
    this.#level = Math.max(0, this.#level - ((now - this.#at) / 1000) * MOST_PER_SECOND) + count;
    this.#level = Math.min(this.#level, 2 * MOST_PER_SECOND);
    this.#at = now;
  }

  get calm() {
    return this.#level <= MOST_PER_SECOND;
  }
}
