// @ts-check
/** Keeps a copy of a window: a list, the changes after it, and another list where those do not suffice. */

import { hasPassed, parseCursor } from "./cursor.js";
import { AccessEnded, LiveOrdersError, Unavailable } from "./errors.js";
import { placeBelow } from "./place.js";
import { Rows } from "./rows.js";
import { Backoff, pause } from "./retry.js";
import { failure } from "./server.js";
import { LONGEST_LIST, Window } from "./window.js";

/** @typedef {import("./copy-state.js").Order} Order */
/** @typedef {import("./stream.js").StreamEvent} StreamEvent */
/** @typedef {import("./whole-copy.js").News} News */

const READ_AGAIN_MS = 50;
const MOST_READS = 60; // of another epoch, until the stream is asked what has happened
/** @type {ReadonlyMap<string, Order | null>} */
const NONE = new Map();

/**
 * While a list is being read, the stream waits, and the window stays what it was at its cursor: nobody sees it with a gap.
 */
export class WindowCopy {
  state;
  since = null;
  #server;
  #signal;
  #list;
  #changed;
  /** A list is needed that includes all changes up to this cursor. @type {string | null} */
  #needed = null;

  /**
   * @param {import("./server.js").Server} server
   * @param {string} collection
   * @param {string} query
   * @param {import("./window.js").WindowOptions} options
   * @param {AbortSignal} signal
   * @param {() => void} changed
   */
  constructor(server, collection, query, options, signal, changed) {
    this.state = new Window(options);
    this.path = `${collection}/events${query}`;
    const after = options.after ? `&after=${encodeURIComponent(options.after.mark)}` : "";
    const list = `sort=${encodeURIComponent(this.state.sort)}${after}`;
    this.#list = `${collection}${query === "" ? "?" : `${query}&`}${list}`;
    this.#server = server;
    this.#signal = signal;
    this.#changed = changed;
  }

  /** The orders of the window, with our own writes among them. @param {() => ReadonlyMap<string, Order | null>} written */
  rows(written) {
    return new Rows(
      () => this.state.with(written()),
      () => NONE,
    );
  }

  /** @param {StreamEvent} event @returns {Promise<News>} */
  async take({ name, told, id }) {
    const state = this.state;
    const cursor = told?.cursor ?? id;
    if (name === "resync") {
      if (state.isLoaded) state.doubt("snapshot", told.reason);
      this.#changed();
    }
    if (name === "resync" || (name === "connected" && !state.isLoaded)) this.#needed = cursor;
    else if (name === "orderUpdate" && this.#needed === null) {
      const outcome = state.apply(told);
      if (outcome === "applied") return { change: told, reloaded: false };
      if (outcome === "known") return null;
      this.#needed = cursor;
    } else if (this.#needed !== null) this.#needed = cursor ?? this.#needed;
    else if (id !== null) state.reached(id);
    if (this.#needed === null) return { change: null, reloaded: false };
    return (await this.#read(this.#needed)) ? { change: null, reloaded: true } : null;
  }

  /** The place below the last order of the window, as the list is now; null: there is no order below. */
  async nextPlace() {
    const { sort, reach } = this.state;
    const answer = await this.#ask(`&fields=${sort.replace(/^-/, "")}&limit=${reach}`, () => {});
    if (answer === null) throw new AccessEnded("closed");
    return placeBelow(sort, reach, answer.body, answer.headers.get("Link") ?? "");
  }

  /** Read the list until it includes all changes up to the cursor. @param {string} needed */
  async #read(needed) {
    const least = parseCursor(needed);
    let limit = this.state.most;
    for (let others = 0; others < MOST_READS;) {
      const answer = await this.#ask(`&limit=${limit}`, (why) => {
        this.state.doubt("snapshot", why);
        this.#changed();
      });
      if (answer === null) return false;
      const cursor = answer.headers.get("Stream-Cursor");
      const position = parseCursor(cursor);
      const hasMore = /rel="next"/.test(answer.headers.get("Link") ?? "");
      if (hasMore && answer.body.length < this.state.reach) {
        // Under a collation, MongoDB finds orders that do not fit the filter: the server has left them out.
        if (limit === LONGEST_LIST) throw new LiveOrdersError("the collation hides the orders of the window");
        limit = LONGEST_LIST;
        continue;
      }
      if (cursor !== null && hasPassed(position, least)) {
        this.state.load(answer.body, hasMore, cursor);
        this.#needed = null;
        return true;
      }
      // One of another epoch shows that the stream is about to say so.
      if (position?.epoch !== least?.epoch) others += 1;
      await pause(READ_AGAIN_MS, this.#signal);
    }
    return false;
  }

  /**
   * Ask for the list until it is given; null: we were closed.
   * @param {string} more of the query
   * @param {(why: string) => void} failed
   */
  async #ask(more, failed) {
    const backoff = new Backoff();
    while (!this.#signal.aborted) {
      try {
        const answer = await this.#server.request("GET", this.#list + more);
        if (answer.status === 200) return answer;
        throw failure(answer);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        failed(error.message);
        backoff.atLeast = error.after;
        await pause(backoff.next(), this.#signal);
      }
    }
    return null;
  }
}
