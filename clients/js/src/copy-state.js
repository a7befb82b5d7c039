// @ts-check
/** How far a copy of the orders can be trusted: its position, and the reasons why it may be old. */

import { parseCursor } from "./cursor.js";

/** An order's fields as JSON values. @typedef {{ readonly _id: string, readonly [field: string]: any }} Order */
/** @typedef {{ operation: "INSERT" | "UPDATE" | "DELETE", id: string, data: Order | null, cursor: string, at: string, left?: boolean }} Change */
/**
 * `loading`: there is no copy yet; `live`: it is the database at its cursor, and later changes come at once; `stale`: it was
 * so, and what is missing will come; `ended`: there will be no more changes.
 * @typedef {{ phase: "loading" | "live" | "stale" | "ended", reason: string | null }} Status
 */
/** @typedef {"network" | "server" | "snapshot"} Source */

export class CopyState {
  /** @type {string | null} */
  cursor = null;
  isLoaded = false;
  /** Why it may be old, by who says so. @type {Map<Source, string>} */
  #reasons = new Map();
  /** @type {string | null} */
  #ended = null;

  /** How far it can be trusted now. @returns {Status} */
  get status() {
    const [reason = null] = this.#reasons.values();
    if (this.#ended !== null) return { phase: "ended", reason: this.#ended };
    if (!this.isLoaded) return { phase: "loading", reason };
    return { phase: reason === null ? "live" : "stale", reason };
  }

  get position() {
    return parseCursor(this.cursor);
  }

  /** Note why it may be old, or that this source sees no reason any more. @param {Source} source @param {string | null} reason */
  doubt(source, reason) {
    this.#reasons.delete(source);
    if (reason !== null) this.#reasons.set(source, reason);
  }

  /** There will be no more changes. @param {string} reason */
  end(reason) {
    this.#ended = reason;
  }

  /** The orders have been loaded, as of the cursor. @param {string} cursor */
  loaded(cursor) {
    this.isLoaded = true;
    this.cursor = cursor;
    this.doubt("snapshot", null);
  }
}
