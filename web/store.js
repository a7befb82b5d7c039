// @ts-check
/** An unbroken part of the list of orders, exactly: what was read, plus every later change in whatever order it arrives. */

import { isAfter, parseCursor, sameEpoch } from "../clients/js/src/cursor.js";
import { Kept } from "./kept.js";
import { Meanwhile } from "./meanwhile.js";
import { idOf, isObjectId } from "./order.js";
import { canMark } from "./ordering.js";
import { Stretch } from "./stretch.js";

/** @typedef {import("../clients/js/src/cursor.js").Position} Cursor */
/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {import("./envelope.js").Page} Page */
/** @typedef {import("./envelope.js").StoreEvent} StoreEvent */
/**
 * `elsewhere`: the order neither was nor is among those wanted here, as far as that is known; `incomplete`: the envelope has
 * no order, which has to be fetched.
 * @typedef {"applied" | "ignored" | "elsewhere" | "other epoch" | "incomplete"} Outcome
 */
/**
 * The page to fetch; one that begins where the part does (`start`) replaces it, any other one continues it. `isPlace`: all
 * that is asked is where the list can be entered below it.
 * @typedef {{ after: string | null, limit: number, isPlace?: boolean }} Missing
 */

export class OrderStore {
  /** @type {Kept} */
  #kept;
  #stretch;
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
  /** Null: newest first. @type {import("./ordering.js").Ordering | null} */
  #ordering = null;
  /** @type {Set<(event: StoreEvent) => void>} */
  #listeners = new Set();

  /**
   * @param {number} [capacity] how many orders there are at most
   * @param {number} [reserve] how many more may be kept below, so that not every deletion needs a request
   * @param {number} [wanted] how many are needed at first
   * @param {number} [margin] how many are needed above and below those in view
   */
  constructor(capacity = 500, reserve = 100, wanted = capacity, margin = 80) {
    this.capacity = capacity;
    this.reserve = reserve;
    this.#stretch = new Stretch(capacity, wanted, margin);
    this.#kept = new Kept(capacity + reserve);
  }

  /** @param {(event: StoreEvent) => void} listener */
  listen(listener) {
    this.#listeners.add(listener);
  }

  /** The ids of the orders, in the order of the list. @returns {readonly string[]} */
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

  /** Whether these are all orders. */
  get complete() {
    return this.#kept.from === null && this.ends;
  }

  /** Whether there are no orders below these. */
  get ends() {
    return this.#kept.whole && this.#kept.ids.length <= this.capacity;
  }

  /** How many orders there are above these: exactly where it is 0, otherwise as counted when they were passed. */
  get above() {
    return this.#stretch.above;
  }

  /** Where a list that replaces these has to begin, as the server calls it; null: with the first order. */
  get start() {
    return this.#stretch.start;
  }

  /** Whether another part of the list is waited for. */
  get seeking() {
    return this.start !== this.#kept.from;
  }

  /** How many orders such a list needs. */
  get needed() {
    return this.#stretch.neededFor(this.#kept.from);
  }

  /** Where to resume after a break: the newest position applied. */
  get cursor() {
    return this.#latest?.text ?? null;
  }

  /** What has to be fetched for `ids` to be what is needed. @returns {Missing | null} */
  get missing() {
    const { whole, after, ids } = this.#kept;
    if (!this.loaded) return null;
    if (this.#doubtful || this.seeking) return { after: this.start, limit: this.needed };
    if (whole || ids.length >= this.#stretch.wanted) return this.#placeMissing;
    if (after === null) return { after: this.start, limit: this.needed };
    return { after, limit: Math.min(this.capacity, this.#stretch.wanted + this.reserve - ids.length) };
  }

  /** @returns {Missing | null} */
  get #placeMissing() {
    const limit = this.#stretch.stuck;
    return limit === 0 || this.ends ? null : { after: this.start, limit, isPlace: true };
  }

  /**
   * Move along the list to where the user looks, so that there are enough orders beyond both ends of it. What `missing` then
   * names has to be fetched.
   * @param {number} first the index in `ids` of the first order in view; it may lie outside of them
   * @param {number} last
   */
  look(first, last) {
    if (!this.loaded || this.seeking) return;
    const spare = this.#stretch.look(first, last, this.#kept.from, this.size);
    if (spare === 0 || (this.#ordering !== null && this.ends)) return;
    const dropped = this.#kept.cutTop(spare, this.#stretch.marks);
    if (dropped === 0 && this.#ordering !== null) return;
    this.#stretch.dropped(dropped, this.#kept.from, this.#kept.top);
    this.#window = null;
    this.#emit({ kind: "fill" });
  }

  /** Note where the list can be entered below a page that was asked for to know that. @param {Page} page @param {Missing} missing */
  enter({ orders, next }, { after }) {
    if (after !== this.start || this.seeking) return;
    this.#stretch.asked();
    const last = orders.at(-1);
    const id = idOf(last);
    const place = id === null ? null : this.#ordering?.rankOf(id, /** @type {Order} */ (last));
    if (next !== null && place && canMark(place)) this.#stretch.found(orders.length, { from: next, place });
    this.#emit({ kind: "fill" }); // who looks may look again
  }

  /** Go back to the first orders. */
  toTop() {
    this.#stretch.toTop();
  }

  /**
   * Keep only orders that match (null: all); the others are removed at once, and a list has to be loaded next.
   * @param {((order: Order) => boolean) | null} matches
   * @param {import("./ordering.js").Ordering | null} [ordering] null: newest first
   */
  filter(matches, ordering = null) {
    this.#matches = matches;
    this.loaded = false;
    this.#meanwhile = null; // received through the previous filter
    this.#stretch.reset();
    if (ordering === null && this.#ordering === null) this.#kept.narrow((order) => this.#passes(order));
    else this.#kept = new Kept(this.capacity + this.reserve, null, ordering);
    this.#ordering = ordering;
    this.#window = null;
    this.#emit({ kind: "filter" });
  }

  /** Announce that a page is being fetched: changes that arrive meanwhile are kept, to be applied on top of it. */
  expect() {
    this.#meanwhile ??= new Meanwhile(this.#latest?.cursor ?? null);
  }

  /**
   * Replace everything by this page, and apply the changes that arrived while it was being fetched.
   * @param {Page} page its cursor is null where the server did not say when the list was read
   * @param {string | null} [from] where it begins: the `after` of the page; null: with the first order
   * @returns {boolean} false: it is of no use, fetch another
   */
  load(page, from = null) {
    const cursor = parseCursor(page.cursor);
    const top = from === null ? null : this.#stretch.placeOf(from);
    if (this.#ordering !== null && from !== null && top === null) return false; // it was a place, and is forgotten
    if (!this.#fits(cursor)) return false;
    this.#latest = cursor && { text: /** @type {string} */ (page.cursor), cursor };
    const moved = from !== this.#kept.from;
    this.#kept = new Kept(this.capacity + this.reserve, from, this.#ordering, top);
    this.#stretch.replaced(from, moved, page.orders.length === 0);
    this.#doubtful = false;
    this.loaded = true;
    this.#add(page, cursor, moved ? "move" : "load");
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
    else if (outcome === "elsewhere") this.#emit({ kind: "elsewhere" });
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
    if (!this.#kept.isNews(id, parseCursor(cursor), order)) return;
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

  /** @param {Page} page @param {Cursor | null} cursor @param {"load" | "move" | "fill"} kind */
  #add(page, cursor, kind) {
    this.#kept.append(page, cursor, (order) => this.#passes(order));
    const { end, ids } = this.#kept;
    if (end !== null) this.#stretch.found(ids.length, end);
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
    if (!this.#kept.isNews(envelope.id, cursor, envelope.data)) return "ignored";
    if (cursor && (!this.#latest || isAfter(cursor, this.#latest.cursor))) this.#advance(envelope.cursor, cursor);
    return this.#settle(envelope, cursor);
  }

  /** @param {Envelope} envelope @param {Cursor | null} cursor @returns {Outcome} */
  #settle({ id, operation, data, left }, cursor) {
    this.#window = null;
    const known = this.#kept.has(id);
    const order = data !== null && typeof data === "object" ? data : null;
    const passes = order === null || this.#passes(order);
    if (operation === "DELETE" || !passes) {
      if (operation === "DELETE" || known) this.#kept.remove(id, cursor);
      return known || passes || left ? "applied" : "elsewhere";
    }
    const moves = known && order !== null && this.#kept.moves(id, order);
    const place = known && !moves ? 0 : this.#placeOf(id, operation, order);
    if (place === "outside") {
      this.#kept.forget(id);
      return "applied";
    }
    if (!order) return "incomplete";
    if (place === "unknown") this.#doubtful = true;
    if (place === "unknown" ? known : !moves) this.#kept.put(id, order, cursor, place === "unknown" ? 0 : place);
    else if (place !== "unknown") this.#kept.move(id, order, cursor, place);
    return "applied";
  }

  /** @param {string} id @param {Envelope["operation"]} operation @param {Order | null} order */
  #placeOf(id, operation, order) {
    const place = this.#kept.place(id, order);
    if (this.#ordering !== null) return place;
    // Without a filter, a changed order existed before, and if it were among the newest, it would be known.
    return place === "unknown" && operation === "UPDATE" && !this.#matches && !isObjectId(id) ? "outside" : place;
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

  /** @param {Envelope} given @param {Order | null} before */
  #changed(given, before) {
    const { data } = given;
    // The connection may be about more orders than these: those of other tabs, or what no server can filter by.
    const leaves = given.operation !== "DELETE" && data !== null && !this.#passes(data);
    const envelope = leaves ? /** @type {Envelope} */ ({ ...given, operation: "DELETE", left: true }) : given;
    const gone = envelope.operation === "DELETE" && !envelope.left ? "deleted" : "left";
    const effect = this.#kept.has(envelope.id) ? (before ? "changed" : "entered") : before ? gone : "none";
    this.#emit({ kind: "change", envelope, before, effect });
  }

  /** @param {StoreEvent} event */
  #emit(event) {
    for (const listener of this.#listeners) listener(event);
  }
}
