// @ts-check
/** What has changed in one order, newest first, as far back as anybody knows. */

import { textOf } from "./order.js";
import { make, write } from "./page.js";
import { clock, exactly, writeTime } from "./time.js";

/** @typedef {import("./api.js").PastChange} PastChange */

/** The most changes that are shown; older ones are in the API. */
const MOST = 1000;
/** A change that has just come may be one of many: how long to wait for them. */
const SETTLE_MS = 400;
const LONGEST = 300;
/** The most fields that are shown of one change: an order that other programs write may have thousands. */
const MOST_FIELDS = 50;
const WORDS = new Map([
  ["INSERT", "Created"],
  ["UPDATE", "Changed"],
  ["DELETE", "Deleted"],
]);

/** @param {(id: string, before: string | null) => Promise<import("./api.js").Past>} fetchHistory */
export function createHistory(fetchHistory) {
  const element = make("section", "drawer-history");
  element.setAttribute("aria-labelledby", "drawer-history-title");
  const title = element.appendChild(make("h3", "", "History"));
  title.id = "drawer-history-title";
  const list = element.appendChild(make("ol"));
  const reach = element.appendChild(make("p", "muted drawer-reach"));
  const older = element.appendChild(make("button", "button", "Older"));
  older.type = "button";

  /** @type {string | null} */
  let id = null;
  /** The cursors of the changes that are shown. @type {Set<string>} */
  let known = new Set();
  /** @type {string | null} */
  let next = null;
  /** Whether the newest have been read at all. */
  let begun = false;
  /** Each order that is opened is another time: answers to the one before are dropped. */
  let time = 0;
  let due = false;
  /** What the last reading was of, where it failed. @type {{ before: string | null } | null} */
  let failed = null;
  /** How far back what is shown reaches, in words. */
  let reached = "";

  /** @param {string | null} before */
  async function read(before) {
    if (id === null) return;
    const mine = time;
    older.ariaBusy = "true";
    try {
      const past = await fetchHistory(id, before);
      if (mine !== time) return;
      if (before === null) addNewer(past);
      else addOlder(past);
      failed = null;
      write(reach, reached);
      write(older, "Older");
      older.hidden = next === null || known.size >= MOST;
    } catch (error) {
      if (mine !== time) return;
      failed = { before };
      write(reach, `The history cannot be read. ${/** @type {Error} */ (error).message}`);
      write(older, "Try again");
      older.hidden = false;
    } finally {
      if (mine === time) older.ariaBusy = null;
    }
  }

  /** @param {import("./api.js").Past} past */
  function addNewer(past) {
    const at = past.changes.findIndex(({ cursor }) => known.has(cursor));
    const follows = begun && (at >= 0 || past.next === null || past.changes.length === 0);
    if (follows) {
      const news = at >= 0 ? past.changes.slice(0, at) : past.changes;
      list.prepend(...news.map(lineOf));
      for (const { cursor } of news) known.add(cursor);
      return;
    }
    // There are changes in between that were not read: begin anew.
    list.replaceChildren();
    known = new Set();
    begun = true;
    addOlder(past);
  }

  /** @param {import("./api.js").Past} past */
  function addOlder({ changes, since, next: further }) {
    const news = changes.filter(({ cursor }) => !known.has(cursor));
    list.append(...news.map(lineOf));
    for (const { cursor } of news) known.add(cursor);
    next = further;
    const then = exactly(since);
    const all = further === null ? "Nothing older is to be found" : "Searched";
    reached = known.size >= MOST ? "Older changes are in the API." : `${all}: complete since ${then}.`;
  }

  older.addEventListener("click", () => {
    if (older.ariaBusy !== "true") void read(failed === null ? next : failed.before);
  });

  return {
    element,
    /** @param {string} order */
    open(order) {
      this.close();
      id = order;
      write(reach, "Reading…");
      void read(null);
    },
    /** The order has changed. */
    refresh() {
      if (due || id === null) return;
      due = true;
      setTimeout(() => {
        due = false;
        void read(null);
      }, SETTLE_MS);
    },
    close() {
      time += 1;
      id = next = failed = null;
      begun = false;
      reached = "";
      known = new Set();
      list.replaceChildren();
      write(reach, "");
      older.hidden = true;
      older.ariaBusy = null;
    },
  };
}

/** @param {PastChange} change */
function lineOf(change) {
  const line = make("li");
  const head = line.appendChild(make("p", "past-head"));
  head.append(make("strong", "", change.left ? "Left your view" : (WORDS.get(change.operation) ?? change.operation)));
  const time = head.appendChild(make("time"));
  writeTime(time, change.at);
  head.append(make("span", "muted", clock(Date.parse(change.at))));
  const fields = change.fields ?? [];
  line.append(...fields.slice(0, MOST_FIELDS).map(fieldOf));
  const more = fields.length - MOST_FIELDS;
  if (more > 0) line.append(make("p", "muted", `and ${more} more fields`));
  if (change.incomplete) line.append(make("p", "muted", "Other fields may have changed, too."));
  const where = line.appendChild(make("details", "past-cursor"));
  where.append(make("summary", "", "Cursor"), make("code", "", textOf(change.cursor)));
  return line;
}

/** @param {{ field: string, from?: unknown, to: unknown }} change */
function fieldOf(change) {
  const line = make("p", "past-field");
  const from = "from" in change ? valueOf(change.from) : "not known";
  line.append(apart(textOf(change.field), "past-name"), apart(from, "past-from"));
  const arrow = make("span", "", " → ");
  arrow.setAttribute("aria-label", "to");
  arrow.role = "img";
  line.append(arrow, apart(valueOf(change.to), "past-to"));
  return line;
}

/** @param {unknown} value */
function valueOf(value) {
  return value === null || value === undefined ? "none" : textOf(value, LONGEST) || "empty";
}

/** A text of others, whose direction does not reorder what is around it. @param {string} text @param {string} className */
function apart(text, className) {
  const made = make("bdi", className, text);
  made.dir = "auto";
  return made;
}
