// @ts-check
/** Single keys for what is done most often: none while somebody types or chooses, and all can be switched off. */

import { part } from "./page.js";

/** What the keys do. @typedef {{ create(): void, find(): void, move(step: number): void, edit(): void, undo(): void }} Acts */

const STORED = "orders-keys";
/** Where keys are text, or choose from a list. */
const TAKES_KEYS = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";

/** @param {Acts} acts */
export function createKeys(acts) {
  const help = part("keys", HTMLDialogElement);
  const enabled = part("keys-enabled", HTMLInputElement);
  /** @type {Map<string, () => void>} */
  const keys = new Map([
    ["n", acts.create],
    ["/", acts.find],
    ["j", () => acts.move(1)],
    ["k", () => acts.move(-1)],
    ["e", acts.edit],
    ["z", acts.undo],
  ]);
  const open = () => help.showModal();

  enabled.checked = recalled() !== "off";
  enabled.addEventListener("change", () => recall(enabled.checked ? "on" : "off"));
  part("keys-open", HTMLButtonElement).addEventListener("click", open);
  part("keys-close", HTMLButtonElement).addEventListener("click", () => help.close());
  document.addEventListener("keydown", (event) => {
    if (!enabled.checked || event.defaultPrevented || !isPlain(event) || isTaken(event.target)) return;
    const act = event.key === "?" ? open : keys.get(letterOf(event));
    if (!act) return;
    event.preventDefault(); // or the letter would be typed where the focus goes
    act();
  });
}

/** @param {KeyboardEvent} event */
function isPlain({ ctrlKey, metaKey, altKey, isComposing, repeat, key }) {
  const mayRepeat = /^[jk]$/i.test(key);
  return !ctrlKey && !metaKey && !altKey && !isComposing && (!repeat || mayRepeat);
}

/** The letter, or where the layout has other ones, the letter that is on this key of most keyboards. @param {KeyboardEvent} event */
function letterOf({ key, code, shiftKey }) {
  if (shiftKey && key !== "/") return ""; // on some keyboards it takes Shift
  const isLatin = key.length !== 1 || key.charCodeAt(0) < 0x250;
  return isLatin ? key.toLowerCase() : (/^Key([A-Z])$/.exec(code)?.[1] ?? "").toLowerCase();
}

/** @param {EventTarget | null} target */
function isTaken(target) {
  const elsewhere =
    document.querySelector("dialog[open]") !== null || document.documentElement.dataset.who === "nobody";
  return elsewhere || (target instanceof Element && target.closest(TAKES_KEYS) !== null);
}

function recalled() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null; // the browser stores nothing: it lasts as long as the page
  }
}

/** @param {string} choice */
function recall(choice) {
  try {
    localStorage.setItem(STORED, choice);
  } catch {
    // as above
  }
}
