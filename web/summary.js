// @ts-check
/** What is said of the orders as a whole: whether others wait, that there are none. */

import { hide, part, write } from "./page.js";
import { noneOf, orderingOf } from "./view.js";
import { countWaiting } from "./waiting.js";

/** @typedef {import("./store.js").OrderStore} OrderStore */

/**
 * @param {OrderStore} store
 * @returns {(shown: readonly string[], view: import("./view.js").View) => void} to be called with the orders in the table
 */
export function createSummary(store) {
  const grid = part("orders-grid", HTMLTableElement);
  const news = part("orders-news", HTMLButtonElement);
  const empty = part("orders-empty", HTMLElement);

  return (shown, view) => {
    const waiting = countWaiting(store.ids, new Set(shown));
    const away = store.start !== null;
    hide(news, waiting === 0 && !away);
    const top = orderingOf(view) === null ? "Newest" : "First";
    write(news, away ? `${top} ↑` : `${waiting} new ↑`);
    news.setAttribute("aria-label", away ? `Show the ${top.toLowerCase()}` : `Show ${waiting} new`);
    grid.setAttribute("aria-rowcount", store.complete ? `${store.size + 1}` : "-1");
    write(empty, emptyWords(store, view));
    hide(empty, store.size > 0 || waiting > 0);
  };
}

/** @param {OrderStore} store @param {import("./view.js").View} view */
function emptyWords(store, view) {
  if (!store.loaded || !store.complete) return "Reading the orders…";
  return noneOf(view);
}
