// @ts-check
/** The table of orders: follows the store, once per frame, touching only the rows that changed. */

import { looksTheSame } from "./order.js";
import { oncePerFrame, part, write } from "./page.js";
import { createRow } from "./row.js";
import { keepTimes } from "./time.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("./store.js").OrderStore} OrderStore */

/** Changed ids that wait for a frame (a hidden page paints none); beyond that the whole table is compared instead. */
const MAX_DIRTY = 2000;
/** A deleted row goes after its animation; after this time also where no animation was played. */
const LEAVES_AFTER_MS = 1600;

/**
 * @param {OrderStore} store
 * @param {import("./row.js").RowActions} actions
 */
export function createTable(store, actions) {
  const body = part("rows", HTMLTableSectionElement);
  const count = part("orders-count", HTMLElement);
  const empty = part("orders-empty", HTMLElement);
  /** @type {Map<string, { row: Row, order: Order }>} */
  const rows = new Map();
  /** @type {Map<string, string>} */
  let dirty = new Map();
  let compareAll = false;
  let quiet = true;
  let loaded = false;

  const flush = oncePerFrame(() => {
    const changes = compareAll ? everything() : dirty;
    dirty = new Map();
    for (const [id, operation] of changes) show(id, operation);
    arrange();
    summarize();
    if (compareAll) quiet = false;
    compareAll = false;
  });

  store.listen((event) => {
    if (event.kind === "load") {
      compareAll = true;
      loaded = true;
    } else {
      const { id, operation } = event.envelope;
      if (dirty.get(id) !== "INSERT" || operation === "DELETE") dirty.set(id, operation);
      if (dirty.size > MAX_DIRTY) compareAll = true;
    }
    flush();
  });

  /** What a new list, or many changes, mean for each row. @returns {Map<string, string>} */
  function everything() {
    const all = new Map(dirty);
    for (const id of rows.keys()) if (!store.get(id)) all.set(id, "DELETE");
    for (const id of store.ids) {
      const known = rows.get(id)?.order;
      const order = /** @type {Order} */ (store.get(id));
      if (!known) all.set(id, "INSERT");
      else if (!all.has(id) && !looksTheSame(known, order)) all.set(id, "UPDATE");
    }
    return all;
  }

  /** @param {string} id @param {string} operation */
  function show(id, operation) {
    const order = store.get(id);
    const known = rows.get(id);
    if (!order) {
      if (known) leave(id, known.row);
      return;
    }
    const row = known?.row ?? createRow(id, actions);
    row.fill(order);
    rows.set(id, { row, order });
    if (!quiet) row.flash(operation === "DELETE" ? "UPDATE" : operation);
  }

  /** @param {string} id @param {Row} row */
  function leave(id, row) {
    rows.delete(id);
    const { element } = row;
    if (quiet) {
      element.remove();
      return;
    }
    keepFocusNear(element);
    element.inert = true;
    row.flash("DELETE");
    const go = () => element.remove();
    element.addEventListener("animationend", (event) => event.animationName.startsWith("collapse") && go());
    setTimeout(go, LEAVES_AFTER_MS);
  }

  /** Put new rows in their places; rows never change places, because they are sorted by age. */
  function arrange() {
    let at = body.firstElementChild;
    for (const id of store.ids) {
      const element = rows.get(id)?.row.element ?? null;
      if (!element) continue;
      while (at && at !== element && isLeaving(at)) at = at.nextElementSibling;
      if (at === element) at = at.nextElementSibling;
      else body.insertBefore(element, at);
    }
  }

  function summarize() {
    write(count, loaded ? (store.complete ? `${store.size}` : `the newest ${store.size}`) : "");
    if (loaded) write(empty, "No orders here. Add one, and it appears on every open page.");
    empty.hidden = store.size > 0;
  }

  body.addEventListener("animationend", (event) => {
    const row = event.target;
    if (row instanceof HTMLElement && event.animationName.startsWith("flash") && !isLeaving(row)) row.className = "row";
  });
  keepTimes(body);

  return {
    /** Let the next list replace the rows without showing every difference as a change. */
    beQuiet() {
      quiet = true;
    },
  };
}

/** @param {Element} row */
function isLeaving(row) {
  return row instanceof HTMLElement && row.inert;
}

/**
 * Whoever works by keyboard stays where they were when the row under them goes.
 * @param {HTMLElement} row
 */
function keepFocusNear(row) {
  if (!row.contains(document.activeElement)) return;
  const kind = document.activeElement instanceof HTMLSelectElement ? "select" : "button";
  const near = row.nextElementSibling ?? row.previousElementSibling;
  const target = near?.querySelector(kind) ?? document.getElementById("orders");
  if (target instanceof HTMLElement) target.focus({ preventScroll: true });
}
