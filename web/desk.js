// @ts-check
/** What the orders desk does beside the table: a file of the orders shown, and what the keys lead to. */

import { ApiError } from "./api.js";
import { createKeys } from "./keys.js";
import { part } from "./page.js";
import { toast } from "./toast.js";

/** For the browser to begin with the file, whose content goes with its address. */
const SAVED_MS = 60_000;

/**
 * @param {{
 *   view: () => import("./view.js").View,
 *   fetchFile: (view: import("./view.js").View) => Promise<Blob>,
 *   table: { move(step: number): void, edit(): boolean },
 *   undo: () => boolean,
 * }} parts `edit` and `undo` tell whether there was something to do
 */
export function createDesk({ view, fetchFile, table, undo }) {
  const file = part("csv", HTMLButtonElement);
  file.addEventListener("click", async () => {
    if (file.ariaBusy === "true") return;
    file.ariaBusy = "true";
    try {
      const { statuses } = view();
      save(await fetchFile(view()), `${["orders", ...statuses].join("-")}.csv`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`There is no file. ${error.message}`);
    } finally {
      file.ariaBusy = null;
    }
  });

  createKeys({
    create: () => {
      const field = part("customer_name", HTMLInputElement);
      // On small screens the form is folded.
      const fold = field.closest(".card")?.querySelector(".fold");
      if (!field.checkVisibility() && fold instanceof HTMLElement && fold.checkVisibility()) fold.click();
      if (field.checkVisibility()) field.focus();
      else toast("You may read orders, but not add any.");
    },
    find: () => {
      const field = part("search", HTMLInputElement);
      field.focus();
      field.select();
    },
    move: (step) => table.move(step),
    edit: () => {
      if (!table.edit()) toast("There is no order here that can be changed.");
    },
    undo: () => {
      if (!undo()) toast("There is nothing to undo.");
    },
  });
}

/** @param {Blob} content @param {string} name */
function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVED_MS);
}
