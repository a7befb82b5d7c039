// @ts-check
/** Short notes at the edge of the page about failures and unknown outcomes. */

import { make, part, write } from "./page.js";

const SHOWN_MS = 7000;
/** Beyond that the oldest is removed. */
const MOST = 4;

/**
 * @param {string} text
 * @param {{ stays?: boolean, action?: { label: string, act: () => void } }} [how] `stays`: until it is said to be otherwise
 * @returns {{ say(text: string): void, close(): void }} ways to replace the text by the end of the story, and to end it
 */
export function toast(text, { stays = false, action } = {}) {
  const region = part("toasts", HTMLElement);
  const note = make("div", "toast");
  const words = make("p", "", text);
  const close = make("button", "toast-close", "×");
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.addEventListener("click", () => note.remove());
  note.append(words, ...(action ? [actionButton(action, note)] : []), close);
  region.append(note);
  while (region.children.length > MOST) region.firstElementChild?.remove();
  const fade = () => void setTimeout(() => note.remove(), SHOWN_MS);
  if (!stays) fade();
  return {
    say(end) {
      write(words, end);
      if (!note.isConnected) region.append(note);
      fade();
    },
    close: () => note.remove(),
  };
}

/** @param {{ label: string, act: () => void }} action @param {HTMLElement} note */
function actionButton({ label, act }, note) {
  const button = make("button", "toast-action", label);
  button.type = "button";
  button.addEventListener("click", () => {
    act();
    note.remove();
  });
  return button;
}
