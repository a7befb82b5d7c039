// @ts-check
/** Names of customers that begin with what is being typed, so that nobody has to know them exactly. */

import { part } from "./page.js";

const TYPING_MS = 200;
const MOST = 10;

/** @param {(beginning: string) => Promise<string[]>} find some of the customers whose names begin so */
export function createSuggestions(find) {
  const field = part("filter-customer", HTMLInputElement);
  const list = part("customers", HTMLDataListElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;

  async function suggest() {
    const beginning = field.value;
    const names = beginning === "" ? [] : await find(beginning).catch(() => []);
    // Something else has been typed meanwhile, for which others are on the way.
    if (field.value === beginning) list.replaceChildren(...names.slice(0, MOST).map((name) => new Option("", name)));
  }

  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => void suggest(), TYPING_MS);
  });
}
