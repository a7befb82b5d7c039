// @ts-check
/** Keeps a copy of all orders that fit the filter: a snapshot, and its changes from the same stream. */

import { Unavailable } from "./errors.js";
import { Replica } from "./replica.js";
import { Rows } from "./rows.js";
import { pause } from "./retry.js";
import { SNAPSHOT } from "./stream.js";

/** @typedef {import("./copy-state.js").Change} Change */
/** @typedef {import("./copy-state.js").Order} Order */
/** @typedef {import("./stream.js").StreamEvent} StreamEvent */
/** What an event has done: nothing that can be seen (null), or this. @typedef {{ change: Change | null, reloaded: boolean } | null} News */

const FETCH_AGAIN_MS = 1000;

export class WholeCopy {
  state = new Replica();
  /** Where the stream begins. */
  since = SNAPSHOT;
  #server;
  #signal;
  #collection;

  /**
   * @param {import("./server.js").Server} server
   * @param {string} collection
   * @param {string} query
   * @param {AbortSignal} signal
   */
  constructor(server, collection, query, signal) {
    this.#server = server;
    this.#collection = collection;
    this.path = collection + query;
    this.#signal = signal;
  }

  /** The orders by their ids. @param {() => ReadonlyMap<string, Order | null>} written our own writes */
  rows(written) {
    return new Rows(() => this.state.rows, written);
  }

  /** @param {StreamEvent} event @returns {Promise<News>} */
  async take({ name, told, id }) {
    const state = this.state;
    if (name === "connected") return null; // where the server is, not we
    if (name === "snapshot") {
      state.add(told.part, told.orders);
      return null;
    }
    if (name === "live") state.complete(told.cursor);
    else if (name === "resync") state.begin(told.reason);
    else if (name === "orderUpdate" && !state.apply(told)) await this.#fetch(told.id);
    else if (id !== null) state.reached(id);
    return { change: name === "orderUpdate" ? told : null, reloaded: name === "live" };
  }

  /** Fetch an order whose change came without it: it was too large, or has changed again meanwhile. @param {string} id */
  async #fetch(id) {
    while (!this.#signal.aborted) {
      try {
        const path = `${this.#collection}/${encodeURIComponent(id)}`;
        const { status, headers, body } = await this.#server.request("GET", path);
        if (status === 200 || status === 404) {
          this.state.amend(id, status === 200 ? body : null, headers.get("Stream-Cursor"));
          return;
        }
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
      }
      await pause(FETCH_AGAIN_MS, this.#signal);
    }
  }
}
