// @ts-check
/** The changes that arrive while a page of the list is being fetched, to be applied on top of it. */

import { isAfter, parseCursor, sameEpoch } from "../clients/js/src/cursor.js";
import { isOlder } from "./envelope.js";

/** @typedef {import("../clients/js/src/cursor.js").Position} Cursor */
/** @typedef {import("./envelope.js").Envelope} Envelope */

/** The most orders that may change meanwhile; beyond that the page is fetched again. */
const MOST = 5000;

export class Meanwhile {
  /** @type {Map<string, Envelope>} */
  #changes = new Map();
  #heard;

  /** @param {Cursor | null} heard how far the changes had been heard when the page was asked for */
  constructor(heard) {
    this.#heard = heard;
  }

  /** @param {Envelope} envelope */
  add(envelope) {
    // Of several changes of an order only the newest counts, and whether the order existed before.
    const earlier = this.#changes.get(envelope.id);
    if (this.overflown || isOlder(envelope, earlier)) return;
    const isNew = earlier?.operation === "INSERT" && envelope.operation === "UPDATE";
    this.#changes.set(envelope.id, isNew ? { ...envelope, operation: "INSERT" } : envelope);
  }

  get changes() {
    return this.#changes.values();
  }

  /** Whether some changes had to be left out. */
  get overflown() {
    return this.#changes.size > MOST;
  }

  /** Whether the changes and a page that was read at `cursor` are of the same epoch. @param {Cursor | null} cursor */
  isOfEpoch(cursor) {
    const positions = [...this.changes].map((change) => parseCursor(change.cursor));
    return positions.every((position) => !position || !cursor || sameEpoch(position, cursor));
  }

  /**
   * Whether a page read at `cursor` and the changes fit together: there is no gap between them (as there is if the page
   * comes from a server that lags behind, or from another epoch, or if too much has changed), and each newer change has its
   * order with it.
   * @param {Cursor | null} cursor
   */
  fits(cursor) {
    const readBefore = this.#heard !== null && cursor !== null && isAfter(this.#heard, cursor);
    return (
      !this.overflown &&
      !readBefore &&
      this.isOfEpoch(cursor) &&
      [...this.changes].every((change) => isUsable(change, cursor))
    );
  }
}

/** @param {Envelope} change @param {Cursor | null} cursor */
function isUsable({ cursor: text, operation, data }, cursor) {
  const position = parseCursor(text);
  return (
    operation === "DELETE" || data !== null || (position !== null && cursor !== null && !isAfter(position, cursor))
  );
}
