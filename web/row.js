// @ts-check
/** One order as a row of the table: made once, then only its changed cells are touched. */

import { isOurs, nameOf, STATUSES, shortId, textOf } from "./order.js";
import { make, write } from "./page.js";
import { writeTime } from "./time.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {{ element: HTMLTableRowElement, fill(order: Order): void, flash(operation: string): void }} Row */
/** @typedef {HTMLButtonElement | HTMLSelectElement} Control */
/**
 * @typedef {{ changeStatus: (id: string, status: string, busy: Control) => Promise<boolean>,
 *             remove: (id: string, busy: Control) => Promise<boolean> }} RowActions
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

  const code = cell(element, "row-id").appendChild(make("code", "", shortId(id)));
  code.title = id;
  const customer = cell(element, "row-customer");
  const product = cell(element, "row-product");
  const status = cell(element, "row-status").appendChild(make("select", "badge"));
  for (const known of STATUSES) status.append(new Option(known, known));
  const updated = cell(element, "row-updated").appendChild(make("time"));
  const remove = cell(element, "row-actions").appendChild(make("button", "button button-quiet", "Delete"));
  remove.type = "button";

  if (!isOurs(id)) {
    // Made by another program with an _id of its own kind: the API reads such orders but does not write them.
    status.disabled = true;
    remove.disabled = true;
  }

  let shown = "";
  status.addEventListener("change", async () => {
    const accepted = await actions.changeStatus(id, status.value, status);
    if (!accepted) showStatus(status, shown);
  });
  remove.addEventListener("click", () => void actions.remove(id, remove));

  let beat = 0;
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
    },
    flash(operation) {
      // Two names for the same animation: changing between them starts it again without forcing a layout.
      beat = 1 - beat;
      element.className = `row flash flash-${operation.toLowerCase()} beat-${beat}`;
    },
  };
}

/** @param {HTMLTableRowElement} row @param {string} className */
function cell(row, className) {
  const made = row.appendChild(make("td", className));
  made.setAttribute("role", "cell");
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
 * Show a status, also one that is none of ours: as an option that cannot be chosen.
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
