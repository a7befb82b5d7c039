// @ts-check
/** Snapshot and live changes, fitted together without gap or repetition: the list first, then all that came after it. */

import { UNCONNECTED } from "./connection.js";
import { isAfter, parseCursor } from "./cursor.js";
import { follow } from "./live.js";
import { reasonInWords } from "./reasons.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("./live.js").Listener} Listener */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {(query: { limit: number, status: string | null }) => Promise<import("./api.js").Snapshot>} Fetch */
/**
 * @typedef {{
 *   store: import("./store.js").OrderStore,
 *   fetchList: Fetch,
 *   fetchOrder: typeof import("./api.js").getOrder,
 *   onConnection: (connection: Connection) => void,
 *   onNotice: (text: string) => void,
 * }} Parts
 */

const FIRST_LIST_MS = 3000;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 8000;

export class Sync {
  /** @type {Connection} */
  #connection = { ...UNCONNECTED };
  /** @type {Live | null} */
  #live = null;
  /** @type {string | null} */
  #status = null;
  /** Each call for a new list makes those before it obsolete. */
  #generation = 0;
  /** The list has to be at least as new as this: from here on the changes are heard. @type {string | null} */
  #heardFrom = null;

  /** @param {Parts} parts */
  constructor({ store, fetchList, fetchOrder, onConnection, onNotice }) {
    this.store = store;
    this.fetchList = fetchList;
    this.fetchOrder = fetchOrder;
    this.onConnection = onConnection;
    this.onNotice = onNotice;
  }

  /**
   * @param {string | null} transport
   */
  async start(transport) {
    if (!navigator.onLine) this.#network(false);
    window.addEventListener("online", () => this.#network(true));
    window.addEventListener("offline", () => this.#network(false));
    // Not more than one try, and not a long one, before connecting: the changes are shown, and the list follows.
    this.#generation += 1;
    const list = this.#load(this.#generation);
    const late = new Promise((resolve) => setTimeout(resolve, FIRST_LIST_MS));
    await Promise.race([list, late]);
    this.#live = await follow({ position: () => this.store.cursor, listener: this.#listener() }, transport);
    if (!(await list)) await this.reload(null);
  }

  /**
   * Show only orders of this status; null for all.
   * @param {string | null} status
   */
  async filter(status) {
    this.#status = status;
    this.#generation += 1; // a list that is on its way was read for the former filter
    this.store.filter((order) => status === null || order.status === status);
    if (this.#connection.list === "current") this.#set({ list: "outdated" });
    const since = (await this.#live?.filter(status === null ? {} : { status })) ?? null;
    if (this.#status === status) await this.reload(since);
  }

  /**
   * Read the list anew, until it is as new as `atLeast`.
   * @param {string | null} atLeast
   */
  async reload(atLeast) {
    this.#heardFrom = atLeast ?? this.#heardFrom;
    this.#generation += 1;
    const generation = this.#generation;
    if (this.#connection.list === "current") this.#set({ list: "outdated" });
    for (let wait = FIRST_WAIT_MS; generation === this.#generation; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      if (await this.#load(generation)) return;
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
    }
  }

  /**
   * @param {number} generation
   * @returns {Promise<boolean>} whether there is nothing more to do
   */
  async #load(generation) {
    this.store.expectSnapshot();
    try {
      const list = await this.fetchList({ limit: this.store.capacity, status: this.#status });
      if (generation !== this.#generation) return true;
      const whole = this.store.load(list.orders, list.cursor, list.complete);
      if (!whole || !reaches(list.cursor, this.#heardFrom)) return false;
      this.#heardFrom = null;
      this.#set({ list: "current" });
      return true;
    } catch (error) {
      this.#set({ why: error instanceof Error ? error.message.replace(/\.$/, "").toLowerCase() : String(error) });
      return false;
    }
  }

  /** @returns {Listener} */
  #listener() {
    return {
      greeted: (greeting, continued) => this.#greeted(greeting, continued),
      changed: (envelope) => this.#changed(envelope),
      reached: (cursor) => this.store.reached(cursor),
      mustResync: (reason, cursor) => {
        if (reason !== null) this.onNotice(`The list was read again: ${reasonInWords(reason)}.`);
        void this.reload(cursor);
      },
      stale: (source) => this.#set({ source }),
      heard: () => this.#set({ heardAt: Date.now() }),
      transport: (transport) => this.#set({ transport }),
      lost: (why) => this.#set({ phase: "lost", why, attempts: this.#connection.attempts + 1, liveSince: null }),
    };
  }

  /** @param {import("./live.js").Greeting | null} greeting @param {boolean} continued */
  #greeted(greeting, continued) {
    const server = greeting?.server ?? this.#connection.server;
    this.#set({ phase: "open", everLive: true, source: null, server, why: null, attempts: 0, liveSince: Date.now() });
    const theirs = greeting?.cursor ?? null;
    if (continued && reaches(this.store.cursor, theirs)) return;
    // Changes are heard from their position on only: what lies between has to be in the list.
    if (this.#connection.list === "none") this.#heardFrom = theirs;
    else void this.reload(theirs);
  }

  /** @param {import("./store.js").Envelope} envelope */
  #changed(envelope) {
    this.#set({ eventAt: Date.now() });
    const outcome = this.store.apply(envelope);
    if (this.#connection.list !== "current") return;
    if (outcome === "incomplete") void this.#fetch(envelope.id);
    else if (outcome === "other epoch") void this.reload(envelope.cursor);
    else if (!this.store.complete && this.store.size < this.store.capacity / 2) void this.reload(null);
  }

  /** Fetch an order whose change came without it: it was too large to be sent along, or has gone. @param {string} id */
  async #fetch(id) {
    try {
      const { order, cursor } = await this.fetchOrder(id);
      this.store.amend(id, order, cursor);
    } catch {
      void this.reload(null); // the list will have it
    }
  }

  /** @param {boolean} online */
  #network(online) {
    this.#set({ offlineSince: online ? null : Date.now() });
    if (online) this.#live?.retry();
  }

  /** @param {Partial<Connection>} news */
  #set(news) {
    this.#connection = { ...this.#connection, ...news };
    this.onConnection(this.#connection);
  }
}

/**
 * Whether who stands at `mine` has all that lies up to `theirs`.
 * @param {string | null} mine
 * @param {string | null} theirs
 */
function reaches(mine, theirs) {
  const [a, b] = [parseCursor(mine), parseCursor(theirs)];
  if (!a || !b) return true; // nothing to compare: the server does not say
  return a.epoch === b.epoch && !isAfter(b, a);
}
