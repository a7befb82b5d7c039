// @ts-check
/** One order as a row of the table, never of another one: only its changed cells are touched. */

import { nameOf, STATUSES, shortId, textOf } from "./order.js";
import { make, write } from "./page.js";
import { writeTime } from "./time.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./deletions.js").DeletionState} DeletionState */
/** What has just happened to the order, for the eye. @typedef {"insert" | "update" | "delete" | "left"} Flash */
/**
 * `place` is its place in the list, from 0; `deletion` shows the state of a deletion and how many milliseconds ago it was
 * asked for; `leave` says why the order is no longer here, and disables its controls; `isInUse` tells whether the row has to
 * be there although it is not in view.
 * @typedef {{
 *   element: HTMLTableRowElement,
 *   order: Order | null,
 *   hasLeft: boolean,
 *   place(place: number, height: number): void,
 *   isInUse(): boolean,
 *   fill(order: Order): void,
 *   flash(kind: Flash): void,
 *   deletion(state: DeletionState, elapsed: number): void,
 *   leave(why: string): void,
 * }} Row
 */
/** @typedef {HTMLButtonElement | HTMLSelectElement} Control */
/**
 * @typedef {{ changeStatus: (id: string, status: string, busy: Control) => Promise<import("./writes.js").Result>,
 *             open: (id: string, opener: HTMLElement) => void,
             remove: (id: string) => void,
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
  const element = /** @type {HTMLTableRowElement} */ (TEMPLATE.cloneNode(true));
  element.dataset.id = id;
  const [idCell, customer, product, statusCell, updatedCell, actionCell] = /** @type {HTMLTableCellElement[]} */ ([
    ...element.cells,
  ]);
  const details = /** @type {HTMLButtonElement} */ (idCell?.firstElementChild);
  const [status, note] = /** @type {[HTMLSelectElement, HTMLElement]} */ ([...(statusCell?.children ?? [])]);
  const updated = /** @type {HTMLTimeElement} */ (updatedCell?.firstElementChild);
  const [remove, undo] = /** @type {HTMLButtonElement[]} */ ([...(actionCell?.children ?? [])]);
  if (!customer || !product || !remove || !undo) throw new Error("the template of a row is not whole");
  details.textContent = shortId(id);
  details.title = id;

  let shown = "";
  let beat = 0;
  let at = -1;
  let heightThen = 0;
  status.addEventListener("change", async () => {
    showStatus(status, status.value); // so that a badge never has the colour of another status
    const result = await actions.changeStatus(id, status.value, status);
    if (result !== "done") showStatus(status, shown);
  });
  details.addEventListener("click", () => actions.open(id, details));
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
    order: null,
    hasLeft: false,
    place(place, height) {
      if (place === at && height === heightThen) return;
      [at, heightThen] = [place, height];
      element.style.transform = `translateY(${place * height}px)`;
      element.ariaRowIndex = String(place + 2); // the heads are the first
    },
    isInUse() {
      return element.contains(document.activeElement) || status.ariaBusy === "true";
    },
    fill(order) {
      this.order = order;
      fillText(customer, textOf(order.customer_name));
      fillText(product, textOf(order.product_name));
      shown = textOf(order.status);
      showStatus(status, shown);
      writeTime(updated, order.updated_at);
      const name = nameOf(order) || `order ${shortId(id)}`;
      status.setAttribute("aria-label", `Status of ${name}`);
      status.disabled = "readsOnly" in document.documentElement.dataset;
      details.setAttribute("aria-label", `${shortId(id)}: details of ${name}`);
      remove.setAttribute("aria-label", `Delete ${name}`);
      undo.setAttribute("aria-label", `Undo: keep ${name}`);
    },
    flash(kind) {
      // Two names for the same animation: switching between them restarts it without forcing a layout.
      beat = 1 - beat;
      element.className = `row flash flash-${kind} beat-${beat}`;
    },
    deletion(state, elapsed) {
      if ((element.dataset.deletion ?? "none") === state) return;
      if (element.contains(document.activeElement)) element.focus({ preventScroll: true });
      element.dataset.deletion = state;
      element.style.setProperty("--elapsed", `-${elapsed}ms`);
      remove.hidden = state !== "none";
      undo.hidden = state !== "waiting";
      say(state === "none" ? "" : "Deleted");
    },
    leave(why) {
      this.hasLeft = true;
      element.inert = true;
      remove.hidden = undo.hidden = true;
      say(why);
    },
  };
}

/** A row without an order: to copy it is much quicker than to make each of its parts. */
const TEMPLATE = createTemplate();

function createTemplate() {
  const element = make("tr", "row");
  element.setAttribute("role", "row");
  element.tabIndex = -1;
  const details = cell(element, "row-id").appendChild(button("row-open", ""));
  const [customer, product] = [cell(element, "row-customer"), cell(element, "row-product")];
  // Text from right to left begins at the right: where it is cut off, its beginning is what remains.
  customer.dir = product.dir = "auto";
  const status = make("select", "badge");
  for (const known of STATUSES) status.append(new Option(known, known));
  const note = make("span", "row-note");
  cell(element, "row-status").append(status, note);
  cell(element, "row-updated").append(make("time"));
  const [remove, undo] = [button("button button-quiet", "Delete"), button("button button-undo", "Undo")];
  cell(element, "row-actions").append(remove, undo);
  note.hidden = undo.hidden = true;
  for (const control of [details, status, remove, undo]) control.tabIndex = -1; // the row is the tab stop; arrows lead to these
  return element;
}

/** @param {HTMLTableRowElement} row @param {string} className */
function cell(row, className) {
  const made = row.appendChild(make("td", className));
  made.setAttribute("role", "gridcell");
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
