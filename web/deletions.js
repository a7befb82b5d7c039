// @ts-check
/** Deletions that can still be undone: each is sent when its time is over, or when the page is hidden. */

/** "waiting": can be undone; "sent": cannot any more, and the order is about to go. @typedef {"none" | "waiting" | "sent"} DeletionState */

export const UNDO_MS = 10_000;

export class Deletions {
  /** @type {Map<string, { timer: ReturnType<typeof setTimeout>, since: number }>} */
  #waiting = new Map();
  /** @type {Set<string>} */
  #sent = new Set();
  #send;
  #changed;
  #undoMs;

  /**
   * @param {(id: string) => Promise<boolean>} send whether the order has gone
   * @param {(id: string) => void} changed the state of this order's deletion is another one
   * @param {number} [undoMs]
   */
  constructor(send, changed, undoMs = UNDO_MS) {
    this.#send = send;
    this.#changed = changed;
    this.#undoMs = undoMs;
  }

  /** @param {string} id @returns {DeletionState} */
  stateOf(id) {
    return this.#waiting.has(id) ? "waiting" : this.#sent.has(id) ? "sent" : "none";
  }

  /** The orders whose deletion can still be undone. */
  get waiting() {
    return this.#waiting.keys();
  }

  /** How many milliseconds ago the deletion was asked for; 0 if none can be undone. @param {string} id */
  elapsedOf(id) {
    return Date.now() - (this.#waiting.get(id)?.since ?? Date.now());
  }

  /** Delete the order unless that is undone in time; asking again changes nothing. @param {string} id */
  ask(id) {
    if (this.stateOf(id) !== "none") return;
    this.#waiting.set(id, { timer: setTimeout(() => void this.#sendNow(id), this.#undoMs), since: Date.now() });
    this.#changed(id);
  }

  /** @param {string} id */
  undo(id) {
    if (!this.#waiting.has(id)) return;
    this.#stop(id);
    this.#changed(id);
  }

  /** The order has gone, by this deletion or another. @param {string} id */
  gone(id) {
    this.#stop(id);
    this.#sent.delete(id);
  }

  /** Send all waiting ones: they can no longer be undone. */
  sendAll() {
    for (const id of [...this.#waiting.keys()]) void this.#sendNow(id);
  }

  /** @param {string} id */
  async #sendNow(id) {
    this.#stop(id);
    this.#sent.add(id);
    this.#changed(id);
    if (await this.#send(id)) return; // it stays "sent" until the change itself arrives
    this.#sent.delete(id);
    this.#changed(id);
  }

  /** @param {string} id */
  #stop(id) {
    clearTimeout(this.#waiting.get(id)?.timer);
    this.#waiting.delete(id);
  }
}
