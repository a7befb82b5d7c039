// @ts-check
/** Short notes at the edge of the page about what did not work. */

import { make, part } from "./page.js";

const SHOWN_MS = 7000;
const MOST = 3;

/** @param {string} text */
export function toast(text) {
  const region = part("toasts", HTMLElement);
  const note = make("div", "toast");
  const close = make("button", "toast-close", "×");
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.addEventListener("click", () => note.remove());
  note.append(make("p", "", text), close);
  region.append(note);
  while (region.children.length > MOST) region.firstElementChild?.remove();
  setTimeout(() => note.remove(), SHOWN_MS);
}
