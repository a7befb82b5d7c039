// @ts-check
/** One order as a row of the table: created once, then only its changed cells are touched. */

import { nameOf, STATUSES, shortId, textOf } from "./order.js";
import { make, write } from "./page.js";
import { writeTime } from "./time.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./deletions.js").DeletionState} DeletionState */
/** What has just happened to the order, for the eye. @typedef {"insert" | "update" | "delete" | "left"} Flash */
/**
 * `deletion` shows the state of a deletion; `leave` says why the order is no longer here, and disables its controls.
 * @typedef {{
 *   element: HTMLTableRowElement,
 *   fill(order: Order): void,
 *   flash(kind: Flash): void,
 *   deletion(state: DeletionState): void,
 *   leave(why: string): void,
 * }} Row
 */
/** @typedef {HTMLButtonElement | HTMLSelectElement} Control */
/**
 * @typedef {{ changeStatus: (id: string, status: string, busy: Control) => Promise<import("./writes.js").Result>,
 *             remove: (id: string) => void,
 *             undo: (id: string) => void,
 *             goTo: (id: string) => void,
 *             offerUndo: (id: string) => void }} RowActions
 */

/**
 * @param {string} id
 * @param {RowActions} actions
 * @returns {Row}
 */
export function createRow(id, actions) {
  const element = make("tr", "row");
  element.setAttribute("role", "row");
  element.dataset.id = id;
  element.tabIndex = -1; // takes the focus when the control that had it is removed

  const code = cell(element, "row-id").appendChild(make("code", "", shortId(id)));
  code.title = id;
  const customer = cell(element, "row-customer");
  const product = cell(element, "row-product");
  const statusCell = cell(element, "row-status");
  const status = statusCell.appendChild(make("select", "badge"));
  for (const known of STATUSES) status.append(new Option(known, known));
  const note = statusCell.appendChild(make("span", "row-note"));
  const updated = cell(element, "row-updated").appendChild(make("time"));
  const actionCell = cell(element, "row-actions");
  const remove = actionCell.appendChild(button("button button-quiet", "Delete"));
  const undo = actionCell.appendChild(button("button button-undo", "Undo"));
  undo.hidden = true;
  note.hidden = true;

  let shown = "";
  let beat = 0;
  status.addEventListener("change", async () => {
    showStatus(status, status.value); // so that a badge never has the colour of another status
    const result = await actions.changeStatus(id, status.value, status);
    if (result !== "done") showStatus(status, shown);
  });
  remove.addEventListener("click", () => actions.remove(id));
  // The second click of a double click on Delete must not undo the first one.
  undo.addEventListener("click", (event) => event.detail < 2 && actions.undo(id));

  /** @param {string} words */
  function say(words) {
    write(note, words);
    note.hidden = words === "";
    status.hidden = words !== "";
  }

  return {
    element,
    fill(order) {
      fillText(customer, textOf(order.customer_name));
      fillText(product, textOf(order.product_name));
      shown = textOf(order.status);
      showStatus(status, shown);
      writeTime(updated, order.updated_at);
      const name = nameOf(order) || `order ${shortId(id)}`;
      status.setAttribute("aria-label", `Status of ${name}`);
      remove.setAttribute("aria-label", `Delete ${name}`);
      undo.setAttribute("aria-label", `Undo: keep ${name}`);
    },
    flash(kind) {
      // Two names for the same animation: switching between them restarts it without forcing a layout.
      beat = 1 - beat;
      element.className = `row flash flash-${kind} beat-${beat}`;
    },
    deletion(state) {
      if ((element.dataset.deletion ?? "none") === state) return;
      if (element.contains(document.activeElement)) element.focus({ preventScroll: true });
      element.dataset.deletion = state;
      remove.hidden = state !== "none";
      undo.hidden = state !== "waiting";
      say(state === "none" ? "" : "Deleted");
    },
    leave(why) {
      element.inert = true;
      remove.hidden = undo.hidden = true;
      say(why);
    },
  };
}

/** @param {HTMLTableRowElement} row @param {string} className */
function cell(row, className) {
  const made = row.appendChild(make("td", className));
  made.setAttribute("role", "cell");
  return made;
}

/** @param {string} className @param {string} text */
function button(className, text) {
  const made = make("button", className, text);
  made.type = "button";
  return made;
}

/** @param {HTMLElement} element @param {string} text */
function fillText(element, text) {
  write(element, text || "–");
  element.classList.toggle("missing", text === "");
  if (text.length > 24) element.title = text;
  else element.removeAttribute("title");
}

/**
 * Show a status, also an unknown one: as an option that cannot be chosen.
 * @param {HTMLSelectElement} select
 * @param {string} status
 */
function showStatus(select, status) {
  const foreign = select.querySelector("option[disabled]");
  if (STATUSES.includes(status)) {
    foreign?.remove();
  } else {
    const option = foreign instanceof HTMLOptionElement ? foreign : new Option();
    option.disabled = true;
    option.value = "";
    write(option, status || "none");
    select.append(option);
  }
  select.value = STATUSES.includes(status) ? status : "";
  select.dataset.status = STATUSES.includes(status) ? status : "other";
}
