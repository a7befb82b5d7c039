// @ts-check
/** Writes that are done once: repeated under one key until their outcome is known, and shown before they are. */

import { hasPassed, parseCursor } from "./cursor.js";
import { OutcomeUnknown, Unavailable } from "./errors.js";
import { fits } from "./filter.js";
import { failure } from "./server.js";

/** @typedef {import("./copy-state.js").Order} Order */
/** @typedef {import("./server.js").Answer} Answer */
/**
 * A write that the copy does not show yet. `shown` is the order in its place; null: deleted, or outside of the filter.
 * @typedef {{ key: string, id: string, shown: Order | null, state: "sent" | "unknown" | "accepted", cursor: string | null }} PendingWrite
 */

export const COLLECTION = "/api/orders";
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 4000;

export class Writes {
  #server;
  #wanted;
  #patience;
  #hasCopy;
  #changed;
  /** @type {Map<string, PendingWrite>} */
  #pending = new Map();
  /** @type {ReadonlyMap<string, Order | null> | null} */
  #shown = null;

  /**
   * @param {import("./server.js").Server} server
   * @param {Record<string, readonly string[]>} wanted
   * @param {number} patience milliseconds
   * @param {() => boolean} hasCopy without one, nothing has to be shown until it is settled
   * @param {() => void} changed
   */
  constructor(server, wanted, patience, hasCopy, changed) {
    this.#hasCopy = hasCopy;
    this.#server = server;
    this.#wanted = wanted;
    this.#patience = patience;
    this.#changed = changed;
  }

  /** The writes that the copy does not show yet, oldest first. @returns {readonly PendingWrite[]} */
  get pending() {
    return [...this.#pending.values()];
  }

  /** What they make of the orders. @returns {ReadonlyMap<string, Order | null>} */
  get shown() {
    this.#shown ??= new Map(this.pending.map(({ id, shown }) => [id, shown]));
    return this.#shown;
  }

  /** @param {Record<string, unknown>} fields @returns {Promise<Order>} */
  async create(fields) {
    const key = crypto.randomUUID();
    const answer = await this.#send(key, "POST", COLLECTION, fields, {});
    const order = /** @type {Order} */ (answer.body);
    this.#keep({ key, id: order._id, shown: this.#visible(order), state: "sent", cursor: null });
    this.#accepted(key, answer);
    return order;
  }

  /**
   * @param {string} id
   * @param {Record<string, unknown>} fields
   * @param {Order | undefined} before what it is shown as now
   * @param {string | undefined} ifMatch
   */
  async change(id, fields, before, ifMatch) {
    const guess = before === undefined ? undefined : this.#visible({ ...before, ...fields });
    return this.#existing("PUT", id, fields, guess, ifMatch);
  }

  /** @param {string} id @param {string | undefined} ifMatch */
  async delete(id, ifMatch) {
    return this.#existing("DELETE", id, undefined, null, ifMatch);
  }

  /** Forget the writes that the copy shows at this position. @param {import("./cursor.js").Position | null} position */
  settle(position) {
    if (position === null) return;
    for (const [key, { state, cursor }] of this.#pending) {
      const at = parseCursor(cursor);
      // Of another epoch: the copy was loaded after the write.
      if (state === "accepted" && at && (at.epoch !== position.epoch || hasPassed(position, at))) this.#drop(key);
    }
  }

  /**
   * @param {string} method
   * @param {string} id
   * @param {unknown} body
   * @param {Order | null | undefined} guess what it will be shown as; undefined: it is not shown
   * @param {string | undefined} ifMatch
   * @returns {Promise<Order>}
   */
  async #existing(method, id, body, guess, ifMatch) {
    const key = crypto.randomUUID();
    if (guess !== undefined) this.#keep({ key, id, shown: guess, state: "sent", cursor: null });
    try {
      /** @type {Record<string, string>} */
      const headers = ifMatch === undefined ? {} : { "If-Match": ifMatch };
      const answer = await this.#send(key, method, `${COLLECTION}/${encodeURIComponent(id)}`, body, headers);
      const order = /** @type {Order} */ (answer.body);
      this.#accepted(key, answer, method === "DELETE" ? null : this.#visible(order));
      return order;
    } catch (error) {
      this.#forget(key); // refused: rolled back; unknown: what the stream shows is shown
      throw error;
    }
  }

  /**
   * Send a write until it is answered; the server does it once for the key, and gives its first answer again.
   * @param {string} key
   * @param {string} method
   * @param {string} path
   * @param {unknown} body
   * @param {Record<string, string>} headers
   * @returns {Promise<Answer>}
   */
  async #send(key, method, path, body, headers) {
    const end = Date.now() + this.#patience;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        const answer = await this.#server.request(method, path, body, { "Idempotency-Key": `"${key}"`, ...headers });
        if (answer.status < 300) return answer;
        throw failure(answer);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        this.#update(key, { state: "unknown" });
        const wait = Math.max(error.after, pause * (0.5 + Math.random() / 2));
        if (Date.now() + wait > end) throw new OutcomeUnknown(key);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  /** @param {Order} order */
  #visible(order) {
    return fits(order, this.#wanted) ? order : null;
  }

  /** @param {PendingWrite} write */
  #keep(write) {
    if (!this.#hasCopy()) return;
    this.#pending.set(write.key, write);
    this.#shown = null;
    this.#changed();
  }

  /** @param {string} key @param {Partial<PendingWrite>} news */
  #update(key, news) {
    const write = this.#pending.get(key);
    if (write) this.#keep({ ...write, ...news });
  }

  /** @param {string} key @param {Answer} answer @param {Order | null} [shown] */
  #accepted(key, answer, shown) {
    const cursor = answer.headers.get("Stream-Cursor");
    if (cursor === null) this.#forget(key);
    else this.#update(key, { state: "accepted", cursor, ...(shown === undefined ? {} : { shown }) });
  }

  /** @param {string} key */
  #forget(key) {
    if (this.#pending.has(key)) {
      this.#drop(key);
      this.#changed();
    }
  }

  /** @param {string} key */
  #drop(key) {
    this.#pending.delete(key);
    this.#shown = null;
  }
}
