// @ts-check
/** Which orders have a place in the table, in which order: those of the store, but nothing in view moves while it must not. */

import { isObjectId } from "./order.js";

/**
 * The orders to show. `top`: they begin with the first of the list. `moved`: this is another part of it. `sorted`: not newest
 * first.
 * @typedef {{ ids: readonly string[], above: number, top: boolean, moved: boolean, sorted?: boolean }} Part
 */
/** The rows in view, as indexes of `ids`; `frozen`: none of them may move. @typedef {{ first: number, last: number, frozen: boolean }} View */

export class Shown {
  /** From top to bottom; some may have gone from the store, and stay for a while. @type {readonly string[]} */
  ids = [];
  /** How many rows there is room for above the first. */
  above = 0;

  /**
   * Follow the store.
   * @param {Part} part
   * @param {View} view
   * @param {(id: string) => boolean} stays whether an order that has gone is shown for a moment
   * @returns {number} by how many rows those in view have moved down
   */
  follow(part, view, stays) {
    const live = new Set(part.ids);
    let top = Math.max(0, view.first);
    // Whoever looks beyond the end waits for what comes after the last of these, and not for what is counted to be there.
    if (view.frozen && top >= this.ids.length)
      top = Math.max(
        0,
        this.ids.findLastIndex((id) => live.has(id)),
      );
    const inView = this.ids.slice(top, Math.max(top, view.last) + 1);
    const anchor = inView.findIndex((id) => live.has(id));
    if (!view.frozen || (anchor < 0 && (part.moved || inView.length === 0))) {
      this.ids = weave(part.ids, live, this.ids, stays);
      this.above = part.above;
      return 0;
    }
    if (anchor < 0) {
      // All that is in view has gone: that stays, and what is below goes on below it.
      const head = this.ids.slice(0, view.last + 1);
      const rest = part.sorted ? following(part.ids, live, head) : below(part.ids, head);
      this.ids = [...new Set([...head, ...rest])];
      return 0;
    }
    const at = top + anchor;
    const before =
      part.top && this.above === 0 ? this.ids.slice(0, at - anchor) : above(part.ids, inView[anchor], inView);
    const shown = new Set([...before, ...inView]);
    const last = part.ids.lastIndexOf(inView.findLast((id) => live.has(id)) ?? "");
    const was = this.above + at;
    const index = before.length + anchor;
    this.ids = [...before, ...inView, ...part.ids.slice(last + 1).filter((id) => !shown.has(id))];
    this.above = part.top ? 0 : Math.max(0, was - index);
    return this.above + index - was;
  }
}

/**
 * The store's orders, and between them those that have gone but stay, each before the order that it was before.
 * @param {readonly string[]} ids
 * @param {Set<string>} live
 * @param {readonly string[]} shown
 * @param {(id: string) => boolean} stays
 */
function weave(ids, live, shown, stays) {
  /** @type {Map<string | null, string[]>} */
  const before = new Map();
  /** @type {string | null} */
  let next = null;
  for (const id of shown.toReversed()) {
    if (live.has(id)) next = id;
    else if (stays(id)) before.set(next, [id, ...(before.get(next) ?? [])]);
  }
  if (before.size === 0) return ids;
  return [...ids.flatMap((id) => [...(before.get(id) ?? []), id]), ...(before.get(null) ?? [])];
}

/** The orders above one of them. @param {readonly string[]} ids @param {string | undefined} id @param {string[]} others not these */
function above(ids, id, others) {
  return ids.slice(0, ids.indexOf(id ?? "")).filter((each) => !others.includes(each));
}

/** The orders that follow those that have all gone, as far as the ids tell. @param {readonly string[]} ids @param {readonly string[]} head */
function below(ids, head) {
  const last = head.findLast(isObjectId);
  if (last === undefined) return [];
  return ids.filter((id) => isObjectId(id) && id < last);
}

/**
 * The same in a sorted list, where ids tell nothing: what follows the last of them that is still there, or all where none is.
 * @param {readonly string[]} ids
 * @param {Set<string>} live
 * @param {readonly string[]} head
 */
function following(ids, live, head) {
  const last = head.findLast((id) => live.has(id));
  return ids.slice(last === undefined ? 0 : ids.indexOf(last) + 1);
}
