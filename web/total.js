// @ts-check
/** How many orders there are: as counted here where all of them are known, else as counted by the server from time to time. */

import { oncePerFrame, part, write } from "./page.js";

/** @typedef {import("./view.js").List} Filter */
/** `more`: there are more than these. @typedef {{ count: number, more: boolean }} Total */

/** To count costs the server more than to read, so that changes are counted together. */
export const BETWEEN_COUNTS_MS = 5000;

/**
 * @param {import("./store.js").OrderStore} store
 * @param {(filter: Filter) => Promise<Total>} count
 */
export function createTotal(store, count) {
  const element = part("orders-count", HTMLElement);
  /** @type {Filter} */
  let filter = {};
  /** @type {Total | null} */
  let known = null;
  let outdated = true;
  let asking = false;
  let generation = 0;

  const paint = oncePerFrame(() => {
    write(element, store.loaded ? wordsFor(store, known) : "");
    void ask();
  });

  async function ask() {
    if (asking || !outdated || !store.loaded || store.complete || document.hidden) return;
    [asking, outdated] = [true, false];
    const own = generation;
    try {
      const total = await count(filter);
      if (own === generation) known = total;
    } catch {
      if (own === generation) outdated = true;
    }
    paint();
    await new Promise((go) => setTimeout(go, BETWEEN_COUNTS_MS));
    if (own !== generation) return;
    asking = false;
    paint();
  }

  store.listen((event) => {
    // An order that is not among those here may have come as well as changed.
    if (event.kind === "load" || event.kind === "elsewhere" || (event.kind === "change" && event.effect !== "changed"))
      outdated = true;
    paint();
  });
  document.addEventListener("visibilitychange", paint);

  return {
    /** Count these orders from now on. @param {Filter} wanted */
    filter(wanted) {
      filter = wanted;
      known = null;
      [asking, outdated] = [false, true];
      generation += 1;
    },
  };
}

/** @param {import("./store.js").OrderStore} store @param {Total | null} known */
function wordsFor(store, known) {
  const seen = store.above + store.size;
  if (store.complete) return numberOf(seen);
  if (known !== null && !known.more) return numberOf(Math.max(known.count, seen));
  // In hundreds, so that it does not change with every order.
  return `more than ${numberOf(Math.max(known?.count ?? 0, seen - (seen % 100)))}`;
}

/** @param {number} count */
function numberOf(count) {
  return count.toLocaleString("en");
}
