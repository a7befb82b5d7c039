// @ts-check
/** How long to wait between two attempts to connect. */

const FIRST_MS = 200;
const LONGEST_MS = 8000;

export class Backoff {
  #failures = 0;
  /** The server's wish, in milliseconds. */
  atLeast = 0;

  succeeded() {
    this.#failures = 0;
    this.atLeast = 0;
  }

  /** Whether there was no success since the last failure. */
  get isRepeated() {
    return this.#failures > 0;
  }

  /** The next pause, in milliseconds: the first one is short, because most breaks are. */
  next() {
    this.#failures += 1;
    const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#failures - 1, 10));
    return Math.max(this.#failures > 1 ? this.atLeast : 0, most * (0.5 + Math.random() / 2));
  }
}

/**
 * Wait, but no longer than until the signal.
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    return signal.addEventListener("abort", done);
  });
}
