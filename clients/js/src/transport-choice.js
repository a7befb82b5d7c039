// @ts-check
/** Which of several transports is tried next. */

import { LiveOrdersError } from "./errors.js";

/** @typedef {"websocket" | "polling" | "sse"} Transport */

/** How often a transport that has worked is tried before the others are. */
const TRIES = 3;

/**
 * A break is no reason to change. After one, the transport that worked is tried three times, then each of the others
 * once, at once. If another one connects first, the server may just have come back: the one that worked is tried once
 * more, and given up if it fails.
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
  /** Whether the first one has been tried once more because another one connected; until it connects itself. */
  #isTriedAgain = false;
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
    this.#isTriedAgain = false;
  }

  /** The present one has connected. @returns {boolean} whether the one that has worked before is to be tried at once */
  succeeded() {
    this.#worked.add(this.#at);
    this.#first = this.#worked.has(this.#wish) ? this.#wish : this.#at;
    const isOther = this.#at !== this.#first;
    if (isOther && !this.#isTriedAgain) {
      this.#at = this.#first;
      this.#misses = TRIES;
      this.#isTriedAgain = true;
      return true;
    }
    this.#misses = 0;
    this.#isConnected = true;
    this.#isTriedAgain = isOther;
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
