// @ts-check
/** The orders of a gateway: a copy that stays exact, its changes one by one, and writes. */

import { AccessEnded, HistoryLost, LiveOrdersError } from "./errors.js";
import { queryOf, wantedOf } from "./filter.js";
import { Server } from "./server.js";
import { Stream } from "./stream.js";
import { WholeCopy } from "./whole-copy.js";
import { WindowCopy } from "./window-copy.js";
import { COLLECTION, Writes } from "./writes.js";

/** @typedef {import("./copy-state.js").Change} Change */
/** @typedef {import("./copy-state.js").Order} Order */
/** @typedef {import("./copy-state.js").Status} Status */
/** @typedef {import("./rows.js").Rows} Rows */
/** @typedef {import("./stream.js").StreamEvent} StreamEvent */
/** @typedef {import("./stream.js").Transport} Transport */
/** `reloaded`: the copy has just been loaded anew. @typedef {{ rows: Rows, status: Status, change: Change | null, reloaded: boolean }} View */
/** @typedef {(view: View) => void} Listener */
/**
 * @typedef {{
 *   filter?: Record<string, string | readonly string[]>,
 *   window?: import("./window.js").WindowOptions,
 *   token?: string | (() => string | Promise<string>),
 *   io?: any,
 *   transports?: readonly Transport[],
 *   writePatience?: number,
 * }} Options
 */

/** @type {readonly Transport[]} */
const OVER_SOCKETIO = ["websocket", "polling"];
const WRITE_PATIENCE_MS = 60_000;

/**
 * The orders at a URL, all or those that fit the filter, or a window of these. With `io`, the function of `socket.io-client`,
 * over Socket.IO, and else over Server-Sent Events. The copy is loaded when it is first asked for, by `live` or `subscribe`.
 * @param {string} url
 * @param {Options} [options]
 */
export function liveOrders(url, options = {}) {
  return new LiveOrders(url, options);
}

class LiveOrders {
  #end = new AbortController();
  /** @type {Set<Listener>} */
  #listeners = new Set();
  #isCopying = false;
  #server;
  #wanted;
  #window;
  #writes;
  #copy;
  /** @type {(from: { path: string, since: string | null }, lost?: (why: string | null) => void) => Stream} */
  #streamOf;
  #stream;
  /** @type {View} */
  #view;
  #rows;
  /** Why the copy has ended. @type {unknown} */
  #failure = null;

  /** @param {string} url @param {Options} options */
  constructor(url, { filter = {}, window, token, io, transports, writePatience = WRITE_PATIENCE_MS }) {
    const wanted = (this.#wanted = wantedOf(filter));
    const ways = transports ?? (io ? [...OVER_SOCKETIO, "sse"] : ["sse"]);
    if (ways.length === 0 || (!io && ways.some((way) => OVER_SOCKETIO.includes(way)))) {
      throw new LiveOrdersError("transports: there must be one, and websocket and polling need io");
    }
    const { signal } = this.#end;
    this.#window = window ?? null;
    this.#server = new Server(url, token);
    this.#writes = new Writes(
      this.#server,
      wanted,
      writePatience,
      () => this.#isCopying,
      () => this.#announce(null),
    );
    const query = queryOf(wanted);
    this.#copy = window
      ? new WindowCopy(this.#server, COLLECTION, query, window, signal, () => this.#announce(null))
      : new WholeCopy(this.#server, COLLECTION, query, signal);
    this.#streamOf = ({ path, since }, lost = () => {}) =>
      new Stream(this.#server, { path, wanted }, since, ways, io, { lost }, signal);
    this.#stream = this.#streamOf(this.#copy, (why) => this.#doubt(why));
    this.#rows = this.#copy.rows(() => this.#writes.shown);
    this.#view = { rows: this.#rows, status: this.#copy.state.status, change: null, reloaded: false };
  }

  /** The orders as they are now, by their ids. */
  get rows() {
    return this.#rows;
  }

  /** The orders as the database has them at `cursor`, without our own writes. @returns {ReadonlyMap<string, Order>} */
  get copy() {
    return this.#copy.state.rows;
  }

  /** What the copy is limited to, if it is. */
  get window() {
    return this.#window;
  }

  /** How far `rows` can be trusted. */
  get status() {
    return this.#copy.state.status;
  }

  /** The position of the copy; `changes` can go on from it, elsewhere too. */
  get cursor() {
    return this.#copy.state.cursor;
  }

  /** Our own writes that the copy does not include yet. */
  get pending() {
    return this.#writes.pending;
  }

  /** What listeners were shown last: the same object until something changes. */
  get view() {
    return this.#view;
  }

  /** The transport that the copy comes over. */
  get transport() {
    return this.#stream.transport;
  }

  /** Go on over another of the transports, without a gap; where it is not to be had, over the next. @param {Transport} transport */
  use(transport) {
    const isOther = transport !== this.transport;
    this.#stream.use(transport);
    if (isOther && this.#isCopying) this.#doubt("another transport is wanted");
  }

  /** Settles as soon as the copy is exact; rejects where it will never be, by what has ended it. @returns {Promise<LiveOrders>} */
  live() {
    return new Promise((resolve, reject) => {
      const end = this.subscribe(({ status }) => {
        if (status.phase !== "live" && status.phase !== "ended") return;
        queueMicrotask(() => end());
        if (status.phase === "live") resolve(this);
        else reject(this.#failure ?? new AccessEnded(status.reason ?? "closed"));
      });
    });
  }

  /**
   * Call the listener now and after everything that changes the view; returns what ends that.
   * @param {Listener} listener
   * @returns {() => void}
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    if (!this.#isCopying) {
      this.#isCopying = true;
      void this.#keepCopy();
    }
    call(listener, this.#view);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Every change after a cursor (without one: from now on), each once and in commit order, for ever. Throws HistoryLost
   * where that is impossible, AccessEnded, and Refused.
   * @param {{ since?: string | null }} [from]
   * @returns {AsyncGenerator<Change>}
   */
  async *changes({ since = null } = {}) {
    const target = { path: `${COLLECTION}/events${queryOf(this.#wanted)}`, since };
    for await (const { name, told } of this.#streamOf(target).events()) {
      if (name === "orderUpdate") yield told;
      else if (name === "resync") throw new HistoryLost(told.reason, told.cursor);
    }
  }

  /** Create an order and return it as stored. @param {Record<string, unknown>} fields */
  create(fields) {
    return this.#writes.create(fields);
  }

  /**
   * Change some fields of an order and return it as stored; `rows` shows it at once, and as before if it is refused.
   * @param {string} id
   * @param {Record<string, unknown>} fields
   * @param {{ ifMatch?: string }} [condition] the `ETag` that it must still have
   */
  update(id, fields, { ifMatch } = {}) {
    return this.#writes.change(id, fields, this.#rows.get(id), ifMatch);
  }

  /** Delete an order and return what it was. @param {string} id @param {{ ifMatch?: string }} [condition] */
  delete(id, { ifMatch } = {}) {
    return this.#writes.delete(id, ifMatch);
  }

  /** Settles as soon as the copy includes all our writes of before, or has ended. @returns {Promise<void>} */
  settled() {
    const keys = new Set(this.pending.map(({ key }) => key));
    return new Promise((resolve) => {
      const end = this.subscribe(({ status }) => {
        if (status.phase !== "ended" && this.pending.some(({ key }) => keys.has(key))) return;
        queueMicrotask(() => end());
        resolve();
      });
    });
  }

  /**
   * The place below the window's last order, as the list is now: another window can begin after it. Null: there is no order
   * below. It waits while the server cannot answer.
   */
  async nextPlace() {
    if (!(this.#copy instanceof WindowCopy)) throw new LiveOrdersError("nextPlace: there is no window");
    return this.#copy.nextPlace();
  }

  /** End the connection; the copy stays as it is. */
  close() {
    this.#end.abort();
    this.#copy.state.end("closed");
    this.#announce(null);
  }

  async #keepCopy() {
    await null; // the first listener is called before anything happens
    try {
      for await (const event of this.#stream.events()) await this.#take(event);
    } catch (error) {
      // Whatever it is: a copy that has ended must not look as if it went on.
      this.#failure = error;
      this.#copy.state.end(error instanceof AccessEnded ? error.reason : String(/** @type {any} */ (error).message));
      this.#announce(null);
    }
  }

  /** @param {StreamEvent} event */
  async #take(event) {
    if (event.name === "status") {
      this.#copy.state.doubt("server", event.told.stale ? event.told.reason : null);
      this.#announce(null);
      return;
    }
    const news = await this.#copy.take(event);
    if (news) this.#announce(news.change, news.reloaded);
  }

  /** @param {string | null} why later changes may not come at once */
  #doubt(why) {
    this.#copy.state.doubt("network", why);
    this.#announce(null);
  }

  /** @param {Change | null} change @param {boolean} [reloaded] */
  #announce(change, reloaded = false) {
    this.#writes.settle(this.#copy.state.position); // the stream may be quicker than the answer to a write
    this.#view = { rows: this.#rows, status: this.#copy.state.status, change, reloaded };
    for (const listener of [...this.#listeners]) call(listener, this.#view);
  }
}

/** @param {Listener} listener @param {View} view */
function call(listener, view) {
  try {
    listener(view);
  } catch (error) {
    // An error of one listener must not end the copy for the others.
    queueMicrotask(() => {
      throw error;
    });
  }
}
