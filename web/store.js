// @ts-check
/** The newest orders of the database, exactly: a list plus every later change, whatever the order of their arrival. */

import { isAfter, parseCursor, sameEpoch } from "./cursor.js";
import { Kept } from "./kept.js";
import { Meanwhile } from "./meanwhile.js";
import { isObjectId } from "./order.js";

/** @typedef {import("./cursor.js").Cursor} Cursor */
/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {import("./envelope.js").Page} Page */
/** @typedef {import("./envelope.js").StoreEvent} StoreEvent */
/** `incomplete`: the envelope has no order, which has to be fetched. @typedef {"applied" | "ignored" | "other epoch" | "incomplete"} Outcome */
/** The page to fetch to complete the newest orders; `after` null: the list from its top. @typedef {{ after: string | null, limit: number }} Missing */

export class OrderStore {
  /** @type {Kept} */
  #kept;
  /** @type {readonly string[] | null} */
  #window = null;
  /** @type {{ text: string, cursor: Cursor } | null} */
  #latest = null;
  /** @type {Meanwhile | null} */
  #meanwhile = null;
  /** Whether the list has been loaded since the filter was chosen. */
  loaded = false;
  /** Whether a new list is needed: an order has come whose place only the server knows. */
  #doubtful = false;
  /** @type {((order: Order) => boolean) | null} */
  #matches = null;
  /** @type {Set<(event: StoreEvent) => void>} */
  #listeners = new Set();

  /**
   * @param {number} [capacity] how many orders are shown: the newest
   * @param {number} [reserve] how many more may be kept below, so that not every deletion needs a request
   */
  constructor(capacity = 500, reserve = 100) {
    this.capacity = capacity;
    this.reserve = reserve;
    this.#kept = new Kept(capacity + reserve);
  }

  /** @param {(event: StoreEvent) => void} listener */
  listen(listener) {
    this.#listeners.add(listener);
  }

  /** The ids of the newest orders, newest first. @returns {readonly string[]} */
  get ids() {
    this.#window ??= this.#kept.ids.slice(0, this.capacity);
    return this.#window;
  }

  get size() {
    return this.ids.length;
  }

  /** @param {string} id @returns {Order | null} */
  get(id) {
    return this.#kept.get(id);
  }

  /** Whether these are all orders, or only the newest of them. */
  get complete() {
    return this.#kept.whole && this.#kept.ids.length <= this.capacity;
  }

  /** Where to resume after a break: the newest position applied. */
  get cursor() {
    return this.#latest?.text ?? null;
  }

  /** What has to be fetched for `ids` to be the newest orders. @returns {Missing | null} */
  get missing() {
    const { whole, after, ids } = this.#kept;
    if (!this.loaded) return null;
    if (!this.#doubtful && (whole || ids.length >= this.capacity)) return null;
    if (this.#doubtful || after === null) return { after: null, limit: this.capacity };
    return { after, limit: Math.min(this.capacity, this.capacity + this.reserve - ids.length) };
  }

  /**
   * Keep only orders that match (null: all); the others are removed at once, and a list has to be loaded next.
   * @param {((order: Order) => boolean) | null} matches
   */
  filter(matches) {
    this.#matches = matches;
    this.loaded = false;
    this.#meanwhile = null; // received through the previous filter
    this.#kept.narrow((order) => this.#passes(order));
    this.#window = null;
    this.#emit({ kind: "filter" });
  }

  /** Announce that a page is being fetched: changes that arrive meanwhile are kept, to be applied on top of it. */
  expect() {
    this.#meanwhile ??= new Meanwhile(this.#latest?.cursor ?? null);
  }

  /**
   * Replace everything by the top of the list, and apply the changes that arrived while it was being fetched.
   * @param {Page} page its cursor is null where the server did not say when the list was read
   * @returns {boolean} false: it is of no use, fetch another
   */
  load(page) {
    const cursor = parseCursor(page.cursor);
    if (!this.#fits(cursor)) return false;
    this.#latest = cursor && { text: /** @type {string} */ (page.cursor), cursor };
    this.#kept = new Kept(this.capacity + this.reserve);
    this.#doubtful = false;
    this.loaded = true;
    this.#add(page, cursor, "load");
    return true;
  }

  /**
   * Add the page that `missing` named, below the known orders.
   * @param {Page} page
   * @param {string} after
   * @returns {boolean} false: it does not fit (any more)
   */
  fill(page, after) {
    const cursor = parseCursor(page.cursor);
    const here = this.#latest?.cursor ?? null;
    const older = cursor !== null && this.#kept.readAt !== null && isAfter(this.#kept.readAt, cursor);
    const fits = after === this.#kept.after && (!cursor || !here || sameEpoch(cursor, here));
    if (!fits || older || !this.#fits(cursor)) return false;
    this.#add(page, cursor, "fill");
    return true;
  }

  /**
   * Apply one change. Repeated and late ones do no harm.
   * @param {Envelope} envelope
   * @returns {Outcome}
   */
  apply(envelope) {
    const before = this.get(envelope.id);
    this.#meanwhile?.add(envelope);
    const outcome = this.#put(envelope);
    if (outcome === "applied") this.#changed(envelope, before);
    return outcome;
  }

  /**
   * Add a fetched order whose change came without it; this does not advance the store's position.
   * @param {Envelope} announced
   * @param {Order | null} order null: it has gone
   * @param {string | null} cursorText when it was read; null: some time after the change
   */
  amend(announced, order, cursorText) {
    const { id, at } = announced;
    const cursor = cursorText ?? announced.cursor;
    const operation = order === null ? "DELETE" : announced.operation;
    const envelope = /** @type {Envelope} */ ({ operation, id, data: order, cursor, at });
    if (!this.#kept.isNews(id, parseCursor(cursor))) return;
    const before = this.get(id);
    if (this.#settle(envelope, parseCursor(cursor)) === "applied") this.#changed(envelope, before);
  }

  /**
   * Note that all changes up to the cursor have been sent, though the filter may have let nothing through.
   * @param {string} cursorText
   */
  reached(cursorText) {
    const cursor = parseCursor(cursorText);
    if (cursor && this.#latest && isAfter(cursor, this.#latest.cursor)) this.#advance(cursorText, cursor);
  }

  /** Whether what was heard goes with a page; what goes with none is not kept any longer. @param {Cursor | null} cursor */
  #fits(cursor) {
    const fits = this.#meanwhile?.fits(cursor) ?? true;
    if (this.#meanwhile?.overflown || !this.#meanwhile?.isOfEpoch(cursor)) this.#meanwhile = null;
    return fits;
  }

  /** @param {Page} page @param {Cursor | null} cursor @param {"load" | "fill"} kind */
  #add(page, cursor, kind) {
    this.#kept.append(page, cursor, (order) => this.#passes(order));
    this.#window = null;
    const meanwhile = this.#meanwhile;
    this.#meanwhile = null;
    for (const envelope of meanwhile?.changes ?? []) this.#put(envelope);
    this.#emit({ kind });
  }

  /** @param {Envelope} envelope @returns {Outcome} */
  #put(envelope) {
    const cursor = parseCursor(envelope.cursor);
    const reference = this.#latest?.cursor ?? null;
    if (cursor && reference && !sameEpoch(cursor, reference)) return "other epoch";
    if (!this.#kept.isNews(envelope.id, cursor)) return "ignored";
    if (cursor && (!this.#latest || isAfter(cursor, this.#latest.cursor))) this.#advance(envelope.cursor, cursor);
    return this.#settle(envelope, cursor);
  }

  /** @param {Envelope} envelope @param {Cursor | null} cursor @returns {Outcome} */
  #settle({ id, operation, data }, cursor) {
    this.#window = null;
    if (operation === "DELETE") {
      this.#kept.remove(id, cursor);
      return "applied";
    }
    const known = this.#kept.has(id);
    const order = data !== null && typeof data === "object" ? data : null;
    if (order && !this.#passes(order)) {
      if (known) this.#kept.remove(id, cursor);
      return known ? "applied" : "ignored";
    }
    const place = known ? 0 : this.#placeOf(id, operation);
    if (place === "below") return "applied";
    if (!order) return "incomplete";
    if (place === "unknown") this.#doubtful = true;
    else this.#kept.put(id, order, cursor, place);
    return "applied";
  }

  /** @param {string} id @param {Envelope["operation"]} operation */
  #placeOf(id, operation) {
    const place = this.#kept.place(id);
    // Without a filter, a changed order existed before, and if it were among the newest, it would be known.
    return place === "unknown" && operation === "UPDATE" && !this.#matches && !isObjectId(id) ? "below" : place;
  }

  /** @param {string} text @param {Cursor} cursor */
  #advance(text, cursor) {
    this.#latest = { text, cursor };
    this.#kept.passed(cursor);
  }

  /** @param {Order} order */
  #passes(order) {
    return this.#matches === null || this.#matches(order);
  }

  /** @param {Envelope} envelope @param {Order | null} before */
  #changed(envelope, before) {
    const gone = envelope.operation === "DELETE" && !envelope.left ? "deleted" : "left";
    const effect = this.#kept.has(envelope.id) ? (before ? "changed" : "entered") : before ? gone : "none";
    this.#emit({ kind: "change", envelope, before, effect });
  }

  /** @param {StoreEvent} event */
  #emit(event) {
    for (const listener of this.#listeners) listener(event);
  }
}
