// @ts-check
/** The choice of which orders to show, by status. */

import { part } from "./page.js";

/** @param {(status: string | null) => void} choose */
export function createFilter(choose) {
  const fieldset = part("filter", HTMLFieldSetElement);
  fieldset.addEventListener("change", (event) => {
    if (event.target instanceof HTMLInputElement) choose(event.target.value || null);
  });
}
