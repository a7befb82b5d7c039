// @ts-check
/** The choice of a transport: in the address of the page, so that it can be shared and survives a reload. */

import { part } from "./page.js";

const NAME = "transport";

/** The chosen one; null: none, or none that there is. */
export function chosenTransport() {
  const chosen = new URLSearchParams(location.search).get(NAME) ?? "";
  return ["websocket", "polling", "sse"].includes(chosen) ? chosen : null;
}

/** @param {() => void} changed */
export function createTransportChoice(changed) {
  const choice = part("transport", HTMLSelectElement);
  const show = () => {
    choice.value = chosenTransport() ?? "";
  };
  choice.addEventListener("change", () => {
    const query = new URLSearchParams(location.search);
    if (choice.value) query.set(NAME, choice.value);
    else query.delete(NAME);
    history.replaceState(null, "", `${location.pathname}${query.size > 0 ? `?${query}` : ""}`);
    changed();
  });
  // A step back may lead to another one.
  window.addEventListener("popstate", () => {
    show();
    changed();
  });
  show();
}
