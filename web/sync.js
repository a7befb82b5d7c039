// @ts-check
/** Keeps the orders complete: reads the list, applies all later changes, fetches rows that are missing. */

import { isSilent, UNCONNECTED, updated } from "./connection.js";
import { isAfter, parseCursor } from "../clients/js/src/cursor.js";
import { reasonInWords } from "./reasons.js";
import { EVERYTHING, filterOf, listOf, matcherOf, orderingOf } from "./view.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("./live.js").Listener} Listener */
/** @typedef {import("./live.js").Live & { move?(): void }} Live */
/** @typedef {{ limit: number, filter: import("./view.js").List, after: string | null }} Query */
/**
 * `follow` connects and stays connected; `pause` waits; both are injected so that tests need neither network nor time.
 * `onRefused`: the server does not have such a list, and asking again will not help.
 * @typedef {{
 *   store: import("./store.js").OrderStore,
 *   fetchList: (query: Query) => Promise<import("./envelope.js").Page>,
 *   fetchOrder: typeof import("./api.js").getOrder,
 *   follow: (following: Omit<import("./live.js").Following, "gate">) => Live,
 *   pause: (milliseconds: number) => Promise<void>,
 *   onConnection: (connection: Connection) => void,
 *   onNotice: (text: string) => void,
 *   onRefused?: (error: import("./api.js").ApiError) => void,
 * }} Parts
 */

const FIRST_LIST_MS = 3000;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 8000;
/** A burst of orders whose places only the server knows costs one list per interval, not one for each. */
const BETWEEN_LISTS_MS = 1000;

export class Sync {
  /** @type {Connection} */
  #connection = { ...UNCONNECTED };
  /** @type {Live | null} */
  #live = null;
  /** @type {import("./view.js").View} */
  #view = EVERYTHING;
  /** Each request for a new list makes the earlier ones obsolete. */
  #generation = 0;
  #filling = false;
  /** The list has to be at least as new as this: from here on changes are received. @type {string | null} */
  #heardFrom = null;
  #parts;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.store = parts.store;
  }

  async start() {
    // At most one attempt, and not a long one, before connecting: changes are shown at once, and the list follows.
    this.#generation += 1;
    const list = this.#load(this.#generation);
    await Promise.race([list, this.#parts.pause(FIRST_LIST_MS)]);
    const view = this.#view;
    const position = () => this.store.cursor;
    this.#live = this.#parts.follow({ position, filter: filterOf(view), listener: this.#listener() });
    if (view !== this.#view) void this.#live.filter(filterOf(this.#view));
    if (!(await list)) await this.reload(null);
    void this.#fill();
  }

  /**
   * Show only orders of this view, from the start.
   * @param {import("./view.js").View} view
   */
  begin(view) {
    this.#view = view;
    this.store.filter(matcherOf(view), orderingOf(view));
  }

  /**
   * Show only orders of this view.
   * @param {import("./view.js").View} view
   */
  async filter(view) {
    this.#generation += 1; // a list that is being fetched was read for the previous filter
    this.begin(view);
    if (this.#connection.list === "current") this.#set({ list: "outdated" });
    const since = (await this.#live?.filter(filterOf(view))) ?? null;
    if (this.#view === view) await this.reload(since);
  }

  /**
   * Reload the list until it is as new as `atLeast`.
   * @param {string | null} atLeast
   */
  async reload(atLeast) {
    this.#heardFrom = atLeast ?? this.#heardFrom;
    if (this.#connection.list === "current") this.#set({ list: "outdated" });
    await this.#read();
    void this.#fill();
  }

  /** A request timed out: the orders may be old, so reconnect to find out. */
  unanswered() {
    this.#set({ unansweredAt: Date.now() });
    this.#live?.retry("the server did not answer in time");
  }

  /** @param {boolean} online the browser's belief, which may be wrong, so the connection is checked at once */
  network(online) {
    this.#set({ offlineSince: online ? null : Date.now() });
    this.#live?.retry(online ? null : "this device has no network");
  }

  /** Another connection may be wanted, by another transport. */
  move() {
    this.#live?.move?.();
  }

  /** Check whether the connection is still alive; to be called every second or so. @param {number} now */
  check(now) {
    if (isSilent(this.#connection, now)) this.#live?.retry("the server has fallen silent");
  }

  async #read() {
    this.#generation += 1;
    const generation = this.#generation;
    for (let wait = FIRST_WAIT_MS; generation === this.#generation; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      if (await this.#load(generation)) return;
      await this.#parts.pause(wait * (0.5 + Math.random() / 2));
    }
  }

  /**
   * @param {number} generation
   * @returns {Promise<boolean>} whether there is nothing more to do
   */
  async #load(generation) {
    const asked = Date.now();
    this.store.expect();
    const from = this.store.start;
    const page = await this.#page({ limit: this.store.needed, filter: listOf(this.#view), after: from });
    if (generation !== this.#generation) return true;
    if (!page) return false;
    const whole = this.store.load(page, from);
    if (!whole || !reaches(page.cursor, this.#heardFrom)) return false;
    this.#heardFrom = null;
    this.#set({ list: "current", trueAt: asked });
    return true;
  }

  /**
   * The user looks at other orders of the list: see `OrderStore.look`.
   * @param {number} first
   * @param {number} last
   */
  look(first, last) {
    this.store.look(first, last);
    if (this.store.missing) void this.#fill();
  }

  /** Go back to the first orders. */
  toTop() {
    this.store.toTop();
    void this.#fill();
  }

  /** Fetch missing rows, until none are missing. */
  async #fill() {
    if (this.#filling) return;
    this.#filling = true;
    for (let wait = FIRST_WAIT_MS; this.#connection.list === "current";) {
      const missing = this.store.missing;
      if (!missing) break;
      if (!missing.isPlace && (missing.after === null || missing.after === this.store.start)) {
        const { seeking } = this.store;
        await this.#read();
        if (!seeking) await this.#parts.pause(BETWEEN_LISTS_MS);
        continue;
      }
      const generation = this.#generation;
      if (!missing.isPlace) this.store.expect();
      const page = await this.#page({ limit: missing.limit, filter: listOf(this.#view), after: missing.after });
      if (generation !== this.#generation) continue; // another list has replaced this one, or will
      if (page && this.#take(page, missing)) continue;
      await this.#parts.pause(wait * (0.5 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
    this.#filling = false;
  }

  /** @param {import("./envelope.js").Page} page @param {import("./store.js").Missing} missing @returns {boolean} whether it was of use */
  #take(page, missing) {
    if (!missing.isPlace) return this.store.fill(page, /** @type {string} */ (missing.after));
    this.store.enter(page, missing);
    return true;
  }

  /** @param {Query} query */
  async #page(query) {
    try {
      return await this.#parts.fetchList(query);
    } catch (error) {
      const refusal = /** @type {import("./api.js").ApiError} */ (error);
      const { message, late } = refusal;
      this.#set({ why: message.replace(/\.$/, "").toLowerCase() });
      if (refusal.status === 422) this.#parts.onRefused?.(refusal);
      if (late) this.unanswered();
      return null;
    }
  }

  /** @returns {Listener} */
  #listener() {
    return {
      greeted: (greeting, continued) => this.#greeted(greeting, continued),
      changed: (envelope) => this.#changed(envelope),
      reached: (cursor) => this.store.reached(cursor),
      mustResync: (reason, cursor, incident) => {
        // For whoever looks for the reason: the gateway's log has a line with this id.
        if (incident) console.info(`resync ${incident}: ${reason}`);
        if (reason !== null) this.#parts.onNotice(`The list was read again: ${reasonInWords(reason)}.`);
        void this.reload(cursor);
      },
      stale: (source) => this.#set({ source }),
      heard: () => this.#set({ heardAt: Date.now() }),
      transport: (transport) => this.#set({ transport }),
      lost: (why) => this.#set({ phase: "lost", why, attempts: this.#connection.attempts + 1, liveSince: null }),
      retrying: (retryAt) => this.#set({ retryAt }),
    };
  }

  /** @param {import("./live.js").Greeting | null} greeting @param {boolean} continued */
  #greeted(greeting, continued) {
    const server = greeting?.server ?? this.#connection.server;
    const now = Date.now();
    const well = { source: null, why: null, attempts: 0, retryAt: null, heardAt: now, liveSince: now };
    this.#set({ phase: "open", everLive: true, server, ...well });
    const theirs = greeting?.cursor ?? null;
    // No list can be as new as a position of an epoch that is over.
    if (parseCursor(this.#heardFrom)?.epoch !== parseCursor(theirs)?.epoch) this.#heardFrom = theirs;
    if (continued && reaches(this.store.cursor, theirs)) return;
    // Changes are received only after the server's position: earlier ones have to be in the list.
    if (this.#connection.list === "none") this.#heardFrom = theirs;
    else void this.reload(theirs);
  }

  /** @param {import("./envelope.js").Envelope} envelope */
  #changed(envelope) {
    this.#set({ eventAt: Date.now() });
    const outcome = this.store.apply(envelope);
    if (outcome === "other epoch") this.#heardFrom = envelope.cursor;
    if (this.#connection.list !== "current") return;
    if (outcome === "incomplete") void this.#fetch(envelope);
    else if (outcome === "other epoch") void this.reload(envelope.cursor);
    else if (this.store.missing) void this.#fill();
  }

  /** Fetch an order whose change came without it: it was too large to be sent, or is gone. @param {import("./envelope.js").Envelope} envelope */
  async #fetch(envelope) {
    try {
      const { order, cursor } = await this.#parts.fetchOrder(envelope.id);
      this.store.amend(envelope, order, cursor);
      void this.#fill();
    } catch {
      void this.reload(null); // the list will have it
    }
  }

  /** @param {Partial<Connection>} news */
  #set(news) {
    this.#connection = updated(this.#connection, news, Date.now());
    this.#parts.onConnection(this.#connection);
  }
}

/**
 * Whether position `mine` includes all changes up to `theirs`.
 * @param {string | null} mine
 * @param {string | null} theirs
 */
function reaches(mine, theirs) {
  const [a, b] = [parseCursor(mine), parseCursor(theirs)];
  if (!a || !b) return true; // nothing to compare: the server gave no cursor
  return a.epoch === b.epoch && !isAfter(b, a);
}
