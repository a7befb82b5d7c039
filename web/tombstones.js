// @ts-check
/** Ids that were removed lately, and when, so that a late change does not bring an order back. */

/** @typedef {import("../clients/js/src/cursor.js").Position} Cursor */

/** Beyond that the oldest is forgotten. */
const MOST = 1000;

export class Tombstones {
  /** @type {Map<string, Cursor | null>} */
  #ids = new Map();

  /** @param {string} id */
  get(id) {
    return this.#ids.get(id) ?? null;
  }

  /** @param {string} id @param {Cursor | null} cursor */
  set(id, cursor) {
    this.#ids.delete(id);
    this.#ids.set(id, cursor);
    const [oldest] = this.#ids.keys();
    if (this.#ids.size > MOST && oldest !== undefined) this.#ids.delete(oldest);
  }

  /** @param {string} id */
  delete(id) {
    this.#ids.delete(id);
  }
}
