// @ts-check
/** When to retry: after a jittered backoff that doubles with each failure, and whose end is announced. */

const FIRST_MS = 1000;
const LONGEST_MS = 8000;

export class Retry {
  #act;
  #told;
  #first = FIRST_MS;
  #wait = FIRST_MS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => void} act
   * @param {(at: number | null) => void} told when the next try is (milliseconds since 1970); null: it is being made
   */
  constructor(act, told) {
    this.#act = act;
    this.#told = told;
  }

  /** The server asks not to come back sooner. @param {number} milliseconds */
  atLeast(milliseconds) {
    this.#first = Math.min(Math.max(milliseconds, FIRST_MS), LONGEST_MS);
    this.#wait = Math.max(this.#wait, this.#first);
  }

  /** Retry later; without effect while a retry is scheduled. */
  later() {
    if (this.#timer !== undefined) return;
    const wait = this.#wait * (0.5 + Math.random() / 2);
    this.#wait = Math.min(this.#wait * 2, LONGEST_MS);
    this.#timer = setTimeout(() => this.now(), wait);
    this.#told(Date.now() + wait);
  }

  /** Retry at once. */
  now() {
    this.cancel();
    this.#told(null);
    this.#act();
  }

  /** Reset the backoff after a success. */
  succeeded() {
    this.cancel();
    this.#wait = this.#first;
  }

  cancel() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
