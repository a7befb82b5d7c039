// @ts-check
/** The server's changes and list pages, and their effects on the orders kept here. */

import { isAfter, parseCursor } from "../clients/js/src/cursor.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {"INSERT" | "UPDATE" | "DELETE"} Operation */
/**
 * A change. `left`: the order still exists but no longer matches this client's filter.
 * @typedef {{ operation: Operation, id: string, data: Order | null, cursor: string, at: string, left?: boolean }} Envelope
 */
/**
 * A page of the list: the cursor is its position in the stream (null: unknown), `next` is the `after` of the page below
 * (null: there is none).
 * @typedef {{ orders: readonly unknown[], cursor: string | null, next: string | null }} Page
 */

/**
 * The effect of a change on the orders kept: it added an order, changed it, took it out (it still exists, but not here) or
 * deleted it; "none": the order was not here and is not now.
 * @typedef {"entered" | "changed" | "left" | "deleted" | "none"} Effect
 */
/**
 * "load" replaced everything, "move" did so by another part of the list, "fill" added older orders that existed already or
 * dropped newer ones that are far from view, "filter" took out orders that do not match. "elsewhere":
 * another order has changed, so that there may be more of those that match, or fewer.
 * @typedef {{ kind: "change", envelope: Envelope, before: Order | null, effect: Effect }
 *   | { kind: "load" | "move" | "fill" | "filter" | "elsewhere" }} StoreEvent
 */
/**
 * Whether a change is older than another; without positions that is unknown.
 * @param {Envelope} envelope
 * @param {Envelope | undefined} other
 */
export function isOlder(envelope, other) {
  const [one, two] = [parseCursor(envelope.cursor), parseCursor(other?.cursor)];
  return one !== null && two !== null && isAfter(two, one);
}
