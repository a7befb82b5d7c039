// @ts-check
/** The table of orders: only the rows in view exist; painted once per frame, and none moves under a pointer or the focus. */

import { Hold } from "./hold.js";
import { looksTheSame } from "./order.js";
import { Pace } from "./pace.js";
import { oncePerFrame, part } from "./page.js";
import { createRow } from "./row.js";
import { Shown } from "./shown.js";
import { createSummary } from "./summary.js";
import { focusedOrder, keepFocusNear, setTabStop } from "./table-focus.js";
import { moveByKeyboard } from "./table-keys.js";
import { keepTimes } from "./time.js";
import { EVERYTHING, orderingOf, whyLeft } from "./view.js";
import { Viewport } from "./viewport.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("./envelope.js").StoreEvent & { kind: "change" }} Change */
/** The rows to be shown, by their places in the list. @typedef {{ first: number, last: number }} Range */

/** Rows that exist above and below those in view, so that scrolling by a few shows no gap. */
const BEYOND = 6;
/** The most changes remembered between two frames (a hidden page paints none). */
const MOST_CHANGES = 2000;
/** While one scrolls by more than what is in view in each frame, rows are made only so often: none can be read. */
const GLIMPSE_MS = 250;
/** ... and on a slow machine so rarely that they take one part in so many of the time. */
const GLIMPSE_COST = 6;
/** How long a row that leaves is still seen. */
const LEAVES_MS = 950;
/** At most so many rows look as if they were being read, at the end of what is known. */
const UNREAD = 50;

/**
 * @param {import("./store.js").OrderStore} store
 * @param {import("./row.js").RowActions} actions
 * @param {import("./deletions.js").Deletions} deletions
 * @param {{ look(first: number, last: number): void, toTop(): void }} sync told where in the store the user looks
 */
export function createTable(store, actions, deletions, sync) {
  const body = part("rows", HTMLTableSectionElement);
  const news = part("orders-news", HTMLButtonElement);
  const hold = new Hold(part("orders-table", HTMLElement), () => flush());
  const viewport = new Viewport(() => flush());
  const shown = new Shown();
  const summarize = createSummary(store);
  const pace = new Pace();
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** The last change of each order since the last frame. @type {Map<string, Change>} */
  let changes = new Map();
  /** Orders that have gone and are still seen, and until when. @type {Map<string, number>} */
  const leaving = new Map();
  /** Pending deletions that are out of reach and whose Undo has been offered. @type {Set<string>} */
  const offered = new Set();
  let quiet = true;
  let letIn = false;
  let moved = false;
  /** How far down the list is known. */
  let known = 0;
  /** The place of the row that gets the focus once it is there. @type {number | null} */
  let wanted = null;
  /** Where the window was in the last frame, when rows were last made, whether in that frame, and what that costs. */
  let last = { first: 0, at: 0, made: 0, making: false, cost: 0 };
  /** The row that the Tab key leads to. @type {string | null} */
  let current = null;
  let view = EVERYTHING;

  const flush = oncePerFrame(() => {
    const range = viewport.read();
    const now = performance.now();
    const batch = changes;
    changes = new Map();
    pace.note(batch.size, now);
    const flashing = !quiet && pace.calm;
    const frozen = !quiet && !letIn && shown.ids.length > 0 && (hold.active || range.first > 0);
    follow(batch, range, flashing, frozen, now);
    const far = Math.abs(range.first - last.first) > range.last - range.first && !quiet && !letIn && wanted === null;
    // The frame after the one in which rows were made shows what they cost.
    const cost = last.making ? now - last.at : last.cost;
    const rushing = far && now - last.made < Math.max(GLIMPSE_MS, cost * GLIMPSE_COST);
    last = { first: range.first, at: now, made: rushing ? last.made : now, making: far && !rushing, cost };
    // As soon as it is slower, there are rows again.
    if (far) flush();
    // Those of the last glimpse are where nobody looks: to take them away costs as much as it does later.
    if (!rushing) render(batch, range, flashing, frozen, far ? 0 : BEYOND);
    offerUndo(batch);
    summarize(shown.ids, view);
    if (store.loaded) quiet = false;
    letIn = moved = false;
    look(range);
  });

  store.listen((event) => {
    if (event.kind === "elsewhere") return;
    if (event.kind === "change") note(event);
    else if (event.kind === "move") moved = true;
    if (changes.size > MOST_CHANGES) changes.clear();
    flush();
  });

  /** @param {Change} change */
  function note(change) {
    const { id, operation, left } = change.envelope;
    if (operation === "DELETE" && !left) deletions.gone(id);
    const entered = changes.get(id)?.effect === "entered" && change.effect === "changed";
    changes.set(id, entered ? { ...change, effect: "entered" } : change);
  }

  /** @param {Map<string, Change>} batch @param {Range} range @param {boolean} flashing @param {boolean} frozen @param {number} now */
  function follow(batch, range, flashing, frozen, now) {
    for (const [id, until] of leaving) if (until <= now || !flashing) leaving.delete(id);
    for (const [id, { effect }] of batch) {
      // What stays in place because nothing may move goes as soon as something may.
      if (!flashing || frozen || !rows.has(id) || (effect !== "deleted" && effect !== "left")) continue;
      leaving.set(id, now + LEAVES_MS);
      setTimeout(flush, LEAVES_MS);
    }
    const source = {
      ids: store.ids,
      above: store.above,
      top: store.start === null && !store.seeking,
      moved,
      sorted: orderingOf(view) !== null,
    };
    const inView = { first: range.first - shown.above, last: range.last - shown.above, frozen };
    const shift = shown.follow(source, inView, (id) => leaving.has(id));
    const end = shown.above + shown.ids.length;
    known = store.ends || quiet ? end : Math.max(known, end);
    // In steps, because another height is a new layout of the whole page.
    const unread = store.ends || end === 0 ? 0 : UNREAD - (known % UNREAD);
    viewport.reserve(known + unread);
    if (shift !== 0) viewport.shift(shift);
    range.first += shift;
    range.last += shift;
  }

  /** @param {Map<string, Change>} batch @param {Range} range @param {boolean} flashing @param {boolean} frozen @param {number} beyond how many rows beyond those in view */
  function render(batch, range, flashing, frozen, beyond) {
    const live = new Set(store.ids);
    const from = Math.max(0, range.first - beyond - shown.above);
    const to = Math.min(shown.ids.length, range.last + beyond + 1 - shown.above, viewport.most - shown.above);
    const visible = new Set(shown.ids.slice(from, Math.max(from, to)));
    for (const [id, row] of rows) {
      const stays = visible.has(id) || (row.isInUse() && live.has(id));
      // One that has come back is another row: its controls must not be those of the one that was left.
      if (stays && !(row.hasLeft && live.has(id))) continue;
      keepFocusNear(row.element);
      row.element.remove();
      rows.delete(id);
    }
    let at = body.firstElementChild;
    for (const [index, id] of shown.ids.entries()) {
      if (!rows.has(id) && !visible.has(id)) continue;
      const row = rows.get(id) ?? makeRow(id, flashing && batch.get(id)?.effect === "entered");
      if (live.has(id)) refill(id, row, batch.get(id), flashing);
      else if (!row.hasLeft) leave(id, row, batch.get(id), flashing, frozen);
      row.place(shown.above + index, viewport.rowHeight);
      if (row.element === at) at = at.nextElementSibling;
      else body.insertBefore(row.element, at);
    }
    focusWanted();
    chooseTabStop(range);
  }

  /** @param {string} id @param {Row} row @param {Change | undefined} change @param {boolean} flashing */
  function refill(id, row, change, flashing) {
    const order = /** @type {Order} */ (store.get(id));
    if (row.order !== order && (change || row.order === null || !looksTheSame(row.order, order))) row.fill(order);
    row.order = order;
    row.deletion(deletions.stateOf(id), deletions.elapsedOf(id));
    if (flashing && change?.effect === "changed") row.flash("update");
  }

  /** @param {string} id @param {Row} row @param {Change | undefined} change @param {boolean} flashing @param {boolean} frozen */
  function leave(id, row, change, flashing, frozen) {
    const effect = change?.effect;
    keepFocusNear(row.element);
    row.leave(wordsFor(change, view));
    if (frozen) row.element.dataset.parked = "";
    if (flashing && (effect === "deleted" || effect === "left")) row.flash(effect === "deleted" ? "delete" : "left");
  }

  /** @param {string} id @param {boolean} flashing */
  function makeRow(id, flashing) {
    const row = createRow(id, actions);
    const order = store.get(id);
    if (order) row.fill(order);
    rows.set(id, row);
    if (flashing) row.flash("insert");
    return row;
  }

  /** An order whose deletion is pending may go out of reach: its Undo must not. @param {Map<string, Change>} batch */
  function offerUndo(batch) {
    for (const id of offered) if (deletions.stateOf(id) !== "waiting") offered.delete(id);
    for (const id of deletions.waiting) {
      if (offered.has(id) || store.get(id) || batch.get(id)?.effect === "deleted") continue;
      offered.add(id);
      actions.offerUndo(id);
    }
  }

  /** The first order in view that has a row and can be used. @param {Range} range */
  function firstInView(range) {
    return shown.ids.slice(Math.max(0, range.first - shown.above)).find((id) => rows.has(id) && store.get(id)) ?? null;
  }

  /** Tell where the user looks, in the store's indexes: it has orders that are not shown. @param {Range} range */
  function look(range) {
    // At the top, those that newer ones push out go: to follow them would scroll away what is above the table.
    if (range.first === 0 && shown.above === 0) {
      sync.look(0, range.last);
      return;
    }
    const live = (/** @type {string} */ id) => store.get(id) !== null;
    const both = shown.ids.slice(Math.max(0, range.first - shown.above)).find(live) ?? shown.ids.findLast(live);
    const at = both === undefined ? -1 : store.ids.indexOf(both);
    const offset = both === undefined || at < 0 ? store.above : shown.above + shown.ids.indexOf(both) - at;
    sync.look(range.first - offset, range.last - offset);
  }

  /** @param {Range} range */
  function chooseTabStop(range) {
    const focused = focusedOrder();
    if (focused !== undefined && rows.has(focused)) current = focused;
    if (current === null || rows.get(current)?.hasLeft !== false) current = firstInView(range);
    setTabStop(rows, current);
  }

  function focusWanted() {
    if (wanted === null) return;
    const row = rows.get(shown.ids[wanted - shown.above] ?? "");
    if (!row || row.hasLeft) return;
    wanted = null;
    row.element.focus({ preventScroll: true });
  }

  /** Take the focus to a place in the list. @param {number} place */
  function focusAt(place) {
    wanted = Math.max(0, Math.min(place, shown.above + shown.ids.length - 1));
    viewport.reveal(wanted);
    flush.now();
  }

  moveByKeyboard(body, {
    placeOf: (id) => shown.above + shown.ids.indexOf(id),
    open: (row) => actions.open(row.dataset.id ?? "", row),
    focusAt,
    end: () => shown.above + shown.ids.length - 1,
    page: () => viewport.rows,
  });

  news.addEventListener("click", () => {
    const byKeyboard = document.activeElement === news;
    letIn = true;
    if (store.start !== null) {
      sync.toTop();
      shown.ids = [];
      shown.above = 0;
    }
    viewport.reveal(0);
    if (byKeyboard) wanted = 0;
    flush.now();
  });
  body.addEventListener("animationend", (event) => {
    const row = event.target;
    if (row instanceof HTMLElement && event.animationName.startsWith("flash") && !row.inert) row.className = "row";
  });
  keepTimes(body);

  return {
    /** Show orders of this view from the next list on, without flashing every difference. @param {import("./view.js").View} next */
    filter(next) {
      view = next;
      quiet = true;
    },
    /** Take the focus to an order, or where it is not shown to all of them. @param {string} id */
    goTo(id) {
      const index = shown.ids.indexOf(id);
      if (index >= 0) focusAt(shown.above + index);
      else part("orders", HTMLElement).focus();
    },
    /** Take the focus so many rows on, or from elsewhere to the row that Tab leads to. @param {number} step */
    move(step) {
      const index = shown.ids.indexOf(focusedOrder() ?? "");
      if (index >= 0) focusAt(shown.above + index + step);
      else if (current !== null) focusAt(shown.above + shown.ids.indexOf(current));
    },
    /** Take the focus to the status of the row that has it, or that Tab leads to. @returns {boolean} whether it can be changed */
    edit() {
      const status = rows.get(focusedOrder() ?? current ?? "")?.element.querySelector("select");
      if (!status || status.disabled || !status.checkVisibility()) return false;
      status.focus({ preventScroll: true });
      return true;
    },
    /** How far a deletion has come has changed. @param {string} id */
    showDeletion(id) {
      rows.get(id)?.deletion(deletions.stateOf(id), deletions.elapsedOf(id));
    },
    /** The orders whose rows exist. */
    get ids() {
      return [...rows.keys()].filter((id) => store.get(id) !== null);
    },
  };
}

/** Why a row goes. @param {Change | undefined} change @param {import("./view.js").View} view */
function wordsFor(change, view) {
  if (change?.effect === "deleted") return "deleted";
  if (change?.effect !== "left") return "no longer here"; // there are newer ones, or another list has come
  return whyLeft(change.envelope.data, view);
}
