// @ts-check
/** The view in the address of the page, so that it can be shared, survives a reload, and Back leads to the one before. */

import { addressOf, sameView, viewIn } from "./view.js";

/** @typedef {import("./view.js").View} View */

/** @param {(view: View) => void} show the address leads to another view */
export function createAddress(show) {
  let view = viewIn(location.search);
  window.addEventListener("popstate", () => {
    const now = viewIn(location.search);
    if (sameView(now, view)) return; // it may be a step to another place in the page
    view = now;
    show(view);
  });

  /** @param {View} chosen @param {"pushState" | "replaceState"} how */
  function go(chosen, how) {
    if (sameView(chosen, view)) return;
    view = chosen;
    history[how](null, "", `${location.pathname}${addressOf(view, location.search)}`);
    show(view);
  }

  return {
    get view() {
      return view;
    },
    /** @param {View} chosen */
    choose(chosen) {
      go(chosen, "pushState");
    },
    /** The present one cannot be shown, and no step back is to lead to it. @param {View} chosen */
    correct(chosen) {
      go(chosen, "replaceState");
    },
  };
}
