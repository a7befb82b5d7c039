// @ts-check
/** Which of several transports is tried next. */

import { LiveOrdersError } from "./errors.js";

/** @typedef {"websocket" | "polling" | "sse"} Transport */

/** How often a transport that has worked is tried before the others are. */
const TRIES = 3;

/**
 * A break is no reason to change: one that has worked is tried again first, and only then each of the others, once and at
 * once. So it is the one that is tried as a server comes back, after however long. Where the server is back just in time
 * for another one, that is no reason to change either: the one that has worked is tried once more.
 */
export class Choice {
  #all;
  /** What the program wishes. */
  #wish = 0;
  /** With which each round of attempts begins. */
  #first = 0;
  #at = 0;
  #misses = 0;
  #isConnected = false;
  /** Whether the first one has failed since another one showed that the server is back. */
  #isRefused = false;
  /** @type {Set<number>} */
  #worked = new Set();

  /** @param {readonly Transport[]} all the preferred one first */
  constructor(all) {
    this.#all = all;
  }

  get now() {
    return /** @type {Transport} */ (this.#all[this.#at]);
  }

  /** @param {Transport} transport */
  use(transport) {
    const at = this.#all.indexOf(transport);
    if (at < 0) throw new LiveOrdersError(`There is no transport ${transport} here, only ${this.#all.join(", ")}`);
    this.#wish = this.#first = this.#at = at;
    this.#misses = 0;
    this.#isConnected = false;
    this.#isRefused = false;
  }

  /** The present one has connected. @returns {boolean} whether the one that has worked before is to be tried at once */
  succeeded() {
    this.#worked.add(this.#at);
    this.#first = this.#worked.has(this.#wish) ? this.#wish : this.#at;
    const isOther = this.#at !== this.#first;
    if (isOther && !this.#isRefused) {
      this.#at = this.#first;
      this.#misses = TRIES;
      this.#isRefused = true; // until it connects
      return true;
    }
    this.#misses = 0;
    this.#isConnected = true;
    this.#isRefused = isOther;
    return false;
  }

  /** It has not, or its connection has broken. @returns {boolean} whether there is another to be tried at once */
  failed() {
    if (this.#isConnected) {
      this.#isConnected = false;
      this.#at = this.#first;
      return false;
    }
    // One that has never worked may be one that a proxy refuses.
    if (this.#at === this.#first && this.#worked.has(this.#at) && ++this.#misses < TRIES) return false;
    this.#at = (this.#at + 1) % this.#all.length;
    return this.#at !== this.#first;
  }
}
