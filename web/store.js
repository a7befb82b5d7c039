// @ts-check
/** The orders as this page knows them: a snapshot plus every later change, whatever the order of their arrival. */

import { isAfter, parseCursor, sameEpoch } from "./cursor.js";
import { idOf } from "./order.js";

/** @typedef {import("./cursor.js").Cursor} Cursor */
/** @typedef {import("./order.js").Order} Order */
/** @typedef {"INSERT" | "UPDATE" | "DELETE"} Operation */
/**
 * What the server announces. `left` says that the order still exists but no longer passes this client's filter.
 * @typedef {{ operation: Operation, id: string, data: Order | null, cursor: string, at: string, left?: boolean }} Envelope
 */
/** @typedef {{ kind: "change", envelope: Envelope, before: Order | null } | { kind: "load" }} StoreEvent */
/** `incomplete`: the order itself was not in the envelope and has to be fetched. @typedef {"applied" | "ignored" | "other epoch" | "incomplete"} Outcome */
/** @typedef {{ order: Order, cursor: Cursor | null }} Row */

/** Ids deleted lately, so that a change that arrives late does not bring an order back. */
const MAX_TOMBSTONES = 1000;
/** Orders that may change while a snapshot is on its way; beyond that the snapshot is asked for again. */
const MAX_PENDING = 5000;

export class OrderStore {
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Map<string, Cursor | null>} */
  #tombstones = new Map();
  /** @type {string[] | null} */
  #sorted = null;
  /** @type {Cursor | null} */
  #snapshot = null;
  /** @type {{ text: string, cursor: Cursor } | null} */
  #latest = null;
  /** @type {Map<string, Envelope> | null} */
  #pending = null;
  /** How far the changes had been heard when the snapshot was asked for. @type {Cursor | null} */
  #heard = null;
  #complete = true;
  /** @type {(order: Order) => boolean} */
  #matches = () => true;
  /** @type {Set<(event: StoreEvent) => void>} */
  #listeners = new Set();

  /** @param {number} [capacity] the number of orders that are kept; of more the newest */
  constructor(capacity = 500) {
    this.capacity = capacity;
  }

  /** @param {(event: StoreEvent) => void} listener */
  listen(listener) {
    this.#listeners.add(listener);
  }

  /** @param {string} id */
  get(id) {
    return this.#rows.get(id)?.order ?? null;
  }

  get size() {
    return this.#rows.size;
  }

  /** Whether these are all orders there are, or only the newest of them. */
  get complete() {
    return this.#complete;
  }

  /** Where to go on from after a break: the newest position that is in here. */
  get cursor() {
    return this.#latest?.text ?? null;
  }

  /** The ids, newest order first. @returns {readonly string[]} */
  get ids() {
    this.#sorted ??= [...this.#rows.keys()].sort(newestFirst);
    return this.#sorted;
  }

  /**
   * Keep only orders that pass; takes effect on what comes, so load a snapshot next.
   * @param {(order: Order) => boolean} matches
   */
  filter(matches) {
    this.#matches = matches;
  }

  /** Announce that a snapshot is being fetched: what changes meanwhile is kept, to be put on top of it. */
  expectSnapshot() {
    if (this.#pending) return;
    this.#pending = new Map();
    this.#heard = this.#latest?.cursor ?? null;
  }

  /**
   * Replace everything by a snapshot and put on top what arrived while it was on its way.
   * @param {readonly unknown[]} list
   * @param {string | null} cursorText null: the server did not say when the list was read
   * @param {boolean} [complete] whether the list is the whole collection
   * @returns {boolean} false: it has to be fetched again, because too much changed meanwhile, or in another epoch, or
   *   because it is older than what was known before (a list read from a server that lags behind)
   */
  load(list, cursorText, complete = true) {
    const pending = this.#pending ?? new Map();
    this.#pending = null;
    this.#snapshot = parseCursor(cursorText);
    this.#latest = this.#snapshot && { text: /** @type {string} */ (cursorText), cursor: this.#snapshot };
    this.#complete = complete;
    this.#rows = new Map();
    this.#tombstones = new Map();
    this.#sorted = null;
    for (const document of list) {
      const id = idOf(document);
      const order = /** @type {Order} */ (document);
      if (id !== null && this.#matches(order)) this.#rows.set(id, { order, cursor: this.#snapshot });
    }
    let whole = pending.size <= MAX_PENDING && !(this.#heard && this.#snapshot && isAfter(this.#heard, this.#snapshot));
    this.#heard = null;
    for (const envelope of pending.values()) {
      const outcome = this.#put(envelope);
      whole = whole && outcome !== "other epoch" && outcome !== "incomplete";
    }
    this.#trim();
    this.#emit({ kind: "load" });
    return whole;
  }

  /**
   * Take in one change. Repeated and late ones do no harm.
   * @param {Envelope} envelope
   * @returns {Outcome}
   */
  apply(envelope) {
    const before = this.get(envelope.id);
    if (this.#pending && this.#pending.size <= MAX_PENDING && !isOlder(envelope, this.#pending.get(envelope.id))) {
      this.#pending.set(envelope.id, envelope); // of several changes of an order the newest is all that counts
    }
    const outcome = this.#put(envelope);
    if (outcome === "applied") {
      this.#trim();
      this.#emit({ kind: "change", envelope, before });
    }
    return outcome;
  }

  /**
   * Put in an order that was fetched by its id, as it was at `cursorText`; nothing else is known up to there.
   * @param {string} id
   * @param {Order | null} order null: it has gone
   * @param {string | null} cursorText
   */
  amend(id, order, cursorText) {
    const cursor = parseCursor(cursorText);
    if (!this.#isNews(id, cursor)) return;
    const before = this.get(id);
    if (order !== null && this.#matches(order)) this.#upsert(id, order, cursor);
    else this.#remove(id, cursor);
    this.#trim();
    const operation = order === null ? "DELETE" : "UPDATE";
    const envelope = { operation, id, data: order, cursor: cursorText ?? "", at: new Date().toISOString() };
    this.#emit({ kind: "change", envelope: /** @type {Envelope} */ (envelope), before });
  }

  /**
   * Take note that everything up to here has been told, though the filter may have let nothing through.
   * @param {string} cursorText
   */
  reached(cursorText) {
    const cursor = parseCursor(cursorText);
    if (cursor && this.#latest && isAfter(cursor, this.#latest.cursor)) this.#latest = { text: cursorText, cursor };
  }

  /** @param {Envelope} envelope @returns {Outcome} */
  #put(envelope) {
    const { id, operation, data } = envelope;
    const cursor = parseCursor(envelope.cursor);
    const reference = this.#snapshot ?? this.#latest?.cursor ?? null;
    if (cursor && reference && !sameEpoch(cursor, reference)) return "other epoch";
    if (!this.#isNews(id, cursor)) return "ignored";
    if (cursor && (!this.#latest || isAfter(cursor, this.#latest.cursor))) {
      this.#latest = { text: envelope.cursor, cursor };
    }
    if (operation === "DELETE") this.#remove(id, cursor);
    else if (data === null || typeof data !== "object") return "incomplete";
    else if (this.#matches(data)) this.#upsert(id, data, cursor);
    else if (this.#rows.has(id)) this.#remove(id, cursor);
    else return "ignored";
    return "applied";
  }

  /** @param {string} id @param {Cursor | null} cursor */
  #isNews(id, cursor) {
    if (!cursor) return true;
    const known = [this.#snapshot, this.#rows.get(id)?.cursor ?? null, this.#tombstones.get(id) ?? null];
    return known.every((position) => position === null || isAfter(cursor, position));
  }

  /** @param {string} id @param {Order} order @param {Cursor | null} cursor */
  #upsert(id, order, cursor) {
    if (!this.#rows.has(id)) this.#sorted = null;
    this.#rows.set(id, { order, cursor });
    this.#tombstones.delete(id);
  }

  /** @param {string} id @param {Cursor | null} cursor */
  #remove(id, cursor) {
    if (this.#rows.delete(id)) this.#sorted = null;
    this.#tombstones.set(id, cursor);
    for (const oldest of this.#tombstones.keys()) {
      if (this.#tombstones.size <= MAX_TOMBSTONES) break;
      this.#tombstones.delete(oldest);
    }
  }

  #trim() {
    if (this.#rows.size <= this.capacity) return;
    this.#complete = false;
    for (const id of this.ids.slice(this.capacity)) this.#rows.delete(id);
    this.#sorted = this.ids.slice(0, this.capacity);
  }

  /** @param {StoreEvent} event */
  #emit(event) {
    for (const listener of this.#listeners) listener(event);
  }
}

/** @param {Envelope} envelope @param {Envelope | undefined} other */
function isOlder(envelope, other) {
  const [one, two] = [parseCursor(envelope.cursor), parseCursor(other?.cursor)];
  return one !== null && two !== null && isAfter(two, one);
}

/**
 * ObjectIds begin with the time they were made at, so this is by age without trusting any field.
 * @param {string} one
 * @param {string} other
 */
function newestFirst(one, other) {
  return one < other ? 1 : one > other ? -1 : 0;
}
