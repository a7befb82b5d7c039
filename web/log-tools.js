// @ts-check
/** The controls of the activity log: which changes it lists, and whether it stands still to be read. */

import { part, write } from "./page.js";

/**
 * @param {{ changed: () => void, clear: () => void }} log `changed`: the list has to be another one; `clear`: all lines are
 *   to be forgotten
 */
export function createLogTools({ changed, clear }) {
  const kinds = part("activity-kind", HTMLSelectElement);
  const pause = part("activity-pause", HTMLButtonElement);
  let paused = false;
  kinds.addEventListener("change", changed);
  pause.addEventListener("click", () => {
    paused = !paused;
    write(pause, paused ? "Go on" : "Pause");
    changed();
  });
  part("activity-clear", HTMLButtonElement).addEventListener("click", clear);
  return {
    get paused() {
      return paused;
    },
    /** Whether lines of this kind are listed; null: it is no change, but a notice. */
    wants: (/** @type {string | null} */ kind) => kind === null || kinds.value === "" || kinds.value === kind,
  };
}
