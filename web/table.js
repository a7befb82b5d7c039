// @ts-check
/** The table of orders: shows what the store holds, once per frame, and moves no row under a pointer or the focus. */

import { Hold } from "./hold.js";
import { looksTheSame } from "./order.js";
import { oncePerFrame, part, write } from "./page.js";
import { createRow } from "./row.js";
import { keepTimes } from "./time.js";
import { countWaiting } from "./waiting.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("./envelope.js").StoreEvent & { kind: "change" }} Change */

/** With more changes in one frame, a user could not follow any of them. */
const MOST_FLASHES = 50;
/** The most orders tracked between two frames (a hidden page paints none); beyond that all rows are compared instead. */
const MOST_CHANGES = 2000;
/** A leaving row is removed after its animation, or after this time if no animation was played. */
const LEAVES_AFTER_MS = 1600;

/**
 * @param {import("./store.js").OrderStore} store
 * @param {import("./row.js").RowActions} actions
 * @param {import("./deletions.js").Deletions} deletions
 */
export function createTable(store, actions, deletions) {
  const body = part("rows", HTMLTableSectionElement);
  const news = part("orders-news", HTMLButtonElement);
  const count = part("orders-count", HTMLElement);
  const empty = part("orders-empty", HTMLElement);
  const hold = new Hold(part("orders-table", HTMLElement), () => flush());
  /** @type {Map<string, { row: Row, order: Order }>} */
  const rows = new Map();
  /** The last change of each order since the last frame. @type {Map<string, Change>} */
  let changes = new Map();
  let compareAll = false;
  let quiet = true;
  let letIn = false;
  /** @type {string | null} */
  let status = null;

  const flush = oncePerFrame(() => {
    // The user asked for a first list, or for that of another filter: it is shown wherever the pointer is.
    const held = !quiet && hold.active && body.childElementCount > 0;
    const batch = changes;
    changes = new Map();
    const flashing = !quiet && batch.size <= MOST_FLASHES;
    update(batch, flashing, held);
    if (!held || letIn) bringIn(batch, flashing);
    const waiting = countWaiting(store.ids, rows);
    news.hidden = waiting === 0;
    write(news, `${waiting} new ↑`);
    news.setAttribute("aria-label", `Show ${waiting} new`);
    summarize(waiting);
    if (compareAll && store.loaded) quiet = false;
    compareAll = letIn = false;
  });

  store.listen((event) => {
    if (event.kind === "change") note(event);
    else compareAll = true;
    if (changes.size > MOST_CHANGES) {
      compareAll = true;
      changes.clear();
    }
    flush();
  });

  /** @param {Change} change */
  function note(change) {
    const { id, operation, left } = change.envelope;
    if (operation === "DELETE" && !left) deletions.gone(id);
    const entered = changes.get(id)?.effect === "entered" && change.effect === "changed";
    changes.set(id, entered ? { ...change, effect: "entered" } : change);
  }

  /** Show what has become of the orders that have a row. @param {Map<string, Change>} batch @param {boolean} flashing @param {boolean} held */
  function update(batch, flashing, held) {
    const kept = new Set(store.ids);
    for (const [id, known] of rows) {
      const change = batch.get(id);
      const order = kept.has(id) ? store.get(id) : null;
      if (!order) {
        rows.delete(id);
        leave(id, known.row, change, flashing, held);
      } else if (change || (compareAll && !looksTheSame(known.order, order))) {
        known.row.fill(order);
        known.row.deletion(deletions.stateOf(id));
        known.order = order;
        if (flashing) known.row.flash("update");
      }
    }
  }

  /** @param {string} id @param {Row} row @param {Change | undefined} change @param {boolean} flashing @param {boolean} held */
  function leave(id, row, change, flashing, held) {
    const { element } = row;
    const effect = change?.effect;
    if (effect !== "deleted" && deletions.stateOf(id) === "waiting") actions.offerUndo(id);
    keepFocusNear(element);
    row.leave(wordsFor(change, status));
    const seen = flashing && (effect === "deleted" || effect === "left");
    if (held) element.dataset.parked = "";
    if (seen) row.flash(effect === "deleted" ? "delete" : "left");
    if (!held && seen) goAfterAnimation(element);
    else if (!held) element.remove();
  }

  /** Put new rows in their places, and let go those that only stayed so that nothing moved. @param {Map<string, Change>} batch @param {boolean} flashing */
  function bringIn(batch, flashing) {
    for (const parked of body.querySelectorAll("[data-parked]")) {
      if (parked instanceof HTMLElement) keepFocusNear(parked);
      parked.remove();
    }
    const room = store.capacity - store.size;
    const leaving = [...body.querySelectorAll("[inert]")];
    for (const element of leaving.slice(0, Math.max(0, leaving.length - room))) element.remove();
    let at = body.firstElementChild;
    for (const id of store.ids) {
      const element = (rows.get(id)?.row ?? makeRow(id, flashing && batch.get(id)?.effect === "entered")).element;
      while (at && at !== element && isLeaving(at)) at = at.nextElementSibling;
      if (at === element) at = at.nextElementSibling;
      else body.insertBefore(element, at);
    }
  }

  /** @param {string} id @param {boolean} flashing */
  function makeRow(id, flashing) {
    const order = /** @type {Order} */ (store.get(id));
    const row = createRow(id, actions);
    row.fill(order);
    row.deletion(deletions.stateOf(id));
    rows.set(id, { row, order });
    if (flashing) row.flash("insert");
    return row;
  }

  /** @param {number} waiting */
  function summarize(waiting) {
    write(count, store.loaded ? (store.complete ? `${store.size}` : `the newest ${store.size}`) : "");
    write(empty, emptyWords(store, status));
    empty.hidden = store.size > 0 || waiting > 0;
  }

  news.addEventListener("click", () => {
    const byKeyboard = document.activeElement === news;
    letIn = true;
    flush.now();
    const first = body.querySelector("tr:not([inert])");
    first?.scrollIntoView({ block: "nearest" });
    if (byKeyboard && first instanceof HTMLElement) first.focus({ preventScroll: true });
  });
  body.addEventListener("animationend", (event) => {
    const row = event.target;
    if (row instanceof HTMLElement && event.animationName.startsWith("flash") && !isLeaving(row)) row.className = "row";
  });
  keepTimes(body);

  return {
    /** Show orders of this status only (null: all) from the next list on, without flashing every difference. @param {string | null} only */
    filter(only) {
      status = only;
      quiet = true;
    },
    /** Take the focus to an order, or where it is not shown to all of them. @param {string} id */
    goTo(id) {
      (rows.get(id)?.row.element ?? part("orders", HTMLElement)).focus();
    },
    /** How far a deletion has come has changed. @param {string} id */
    showDeletion(id) {
      rows.get(id)?.row.deletion(deletions.stateOf(id));
    },
  };
}

/** Why a row goes. @param {Change | undefined} change @param {string | null} status the filter */
function wordsFor(change, status) {
  if (change?.effect === "deleted") return "deleted";
  if (change?.effect !== "left") return "no longer here"; // there are newer ones, or another list has come
  const now = change.envelope.data?.status;
  return typeof now === "string" && now !== "" ? `now ${now}` : status === null ? "has left" : `no longer ${status}`;
}

/** @param {import("./store.js").OrderStore} store @param {string | null} status the filter */
function emptyWords(store, status) {
  if (!store.loaded || !store.complete) return "Reading the orders…";
  return status === null ? "No orders yet. Add one, and it appears on every open page." : `No ${status} orders.`;
}

/** @param {HTMLElement} element */
function goAfterAnimation(element) {
  const go = () => element.remove();
  element.addEventListener("animationend", (event) => event.animationName.startsWith("collapse") && go());
  setTimeout(go, LEAVES_AFTER_MS);
}

/** @param {Element} row */
function isLeaving(row) {
  return row instanceof HTMLElement && row.inert;
}

/**
 * Keep the focus near when its row is removed: on a row itself, never on a control that deletes.
 * @param {HTMLElement} row
 */
function keepFocusNear(row) {
  if (!row.contains(document.activeElement)) return;
  let near = row.nextElementSibling;
  while (near && isLeaving(near)) near = near.nextElementSibling;
  near ??= row.previousElementSibling;
  const target = near && !isLeaving(near) ? near : document.getElementById("orders");
  if (target instanceof HTMLElement) target.focus({ preventScroll: true });
}
