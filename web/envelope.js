// @ts-check
/** What the server says of the orders, changes and pages of its list, and what that means for those kept here. */

import { isAfter, parseCursor } from "./cursor.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {"INSERT" | "UPDATE" | "DELETE"} Operation */
/**
 * A change. `left` says that the order still exists but no longer passes this client's filter.
 * @typedef {{ operation: Operation, id: string, data: Order | null, cursor: string, at: string, left?: boolean }} Envelope
 */
/**
 * A page of the list: the cursor says when it was read (null: the server did not say), `next` is the `after` of the page
 * below (null: there is none).
 * @typedef {{ orders: readonly unknown[], cursor: string | null, next: string | null }} Page
 */

/**
 * What a change means for what is kept: it brought an order in, changed it, took it out (it lives on, but not here) or
 * deleted it; "none": the order was not here and is not now.
 * @typedef {"entered" | "changed" | "left" | "deleted" | "none"} Effect
 */
/**
 * "load" replaced everything, "fill" added older orders that were there all along, "filter" took out what does not pass.
 * @typedef {{ kind: "change", envelope: Envelope, before: Order | null, effect: Effect }
 *   | { kind: "load" | "fill" | "filter" }} StoreEvent
 */
/**
 * Whether a change is older than another; of what has no position, nobody knows.
 * @param {Envelope} envelope
 * @param {Envelope | undefined} other
 */
export function isOlder(envelope, other) {
  const [one, two] = [parseCursor(envelope.cursor), parseCursor(other?.cursor)];
  return one !== null && two !== null && isAfter(two, one);
}
