// @ts-check
/** The activity log: the last changes in words, newest on top. */

import { describe } from "./description.js";
import { createLogTools } from "./log-tools.js";
import { Pace } from "./pace.js";
import { hide, make, oncePerFrame, part, write } from "./page.js";
import { clock } from "./time.js";

/** What is kept of a change: its order may be large. @typedef {{ id: string, operation: string, cursor: string, at: string }} Change */
/**
 * One line; `of` is the change that it tells, null where it is a notice.
 * @typedef {{ build: () => HTMLLIElement, element: HTMLLIElement | null, own: boolean, of: Change | null, kind: string | null }} Entry
 */

const KEPT = 100;
/** While changes come faster than anyone can read, only so many lines exist, and not in every frame others. */
const KEPT_IN_HASTE = 20;
const HASTE_MS = 250;
/** A screen reader gets one sentence per interval; every single change would drown everything else. */
const ANNOUNCE_EVERY_MS = 4000;

/** @param {import("./store.js").OrderStore} store */
export function createLog(store) {
  const list = part("activity", HTMLOListElement);
  const count = part("activity-count", HTMLElement);
  const empty = part("activity-empty", HTMLElement);
  const tools = createLogTools({
    changed: () => {
      asked = true;
      paint();
    },
    clear: () => {
      [entries, total, asked] = [[], 0, true];
      paint();
    },
  });
  const announce = createAnnouncer();
  const pace = new Pace();
  /** @type {Entry[]} newest last */
  let entries = [];
  /** @type {{ id: string, operation: string, cursor: string | null, until: number }[]} */
  let own = [];
  let total = 0;
  let scheduled = false;
  /** Whether the user has asked for another list. */
  let asked = false;

  const paint = oncePerFrame(() => {
    write(count, total === 1 ? "1 change" : `${total} changes`);
    if (tools.paused && !asked) return;
    asked = false;
    const wanted = entries.filter(({ kind }) => tools.wants(kind));
    const kept = wanted.slice(pace.calm ? -KEPT : -KEPT_IN_HASTE);
    const elements = kept.map((entry) => (entry.element ??= entry.build())).reverse();
    const stay = new Set(elements);
    for (const element of [...list.children]) if (!stay.has(/** @type {HTMLLIElement} */ (element))) element.remove();
    let at = list.firstElementChild;
    for (const element of elements) {
      if (element === at) at = at.nextElementSibling;
      else list.insertBefore(element, at);
    }
    list.toggleAttribute("data-long", elements.length >= KEPT_IN_HASTE);
    for (const entry of entries) if (entry.element && !stay.has(entry.element)) entry.element = null;
    hide(empty, entries.length > 0);
  });

  function flush() {
    pace.note(0, performance.now());
    if (pace.calm) paint();
    else if (!scheduled) {
      scheduled = true;
      setTimeout(() => {
        scheduled = false;
        pace.note(0, performance.now());
        paint();
        if (!pace.calm) flush(); // once more when it has calmed down
      }, HASTE_MS);
    }
  }

  /** @param {Entry} entry */
  function add(entry) {
    entries.push(entry);
    if (entries.length > 2 * KEPT) entries = entries.slice(-KEPT);
    flush();
  }

  store.listen((event) => {
    if (event.kind !== "change") return;
    const { envelope, before } = event;
    total += 1;
    pace.note(1, performance.now());
    const words = describe(envelope, before);
    announce(`${words.kind} ${words.title}, ${words.detail}`);
    const match = own.findIndex((written) => isSame(written, envelope));
    if (match >= 0) own.splice(match, 1);
    const { id, operation, cursor, at } = envelope;
    const of = { id, operation, cursor, at };
    /** @type {Entry} */
    const entry = {
      build: () => createEntry(of, words, entry.own),
      element: null,
      own: match >= 0,
      of,
      kind: words.kind,
    };
    add(entry);
  });

  return {
    /** Tell it to users of a screen reader. */
    announce,
    /** @param {string} text */
    notice(text) {
      const at = Date.now();
      announce(text);
      add({ build: () => createNotice(text, at), element: null, own: false, of: null, kind: null });
    },
    /**
     * Mark the change as made on this page, whether it has been announced already or comes next.
     * @param {string} operation
     * @param {string} id
     * @param {string | null} cursor
     */
    markOwn(operation, id, cursor) {
      const now = Date.now();
      const written = { id, operation, cursor, until: now + 10_000 };
      const entry = entries.findLast(({ of, own: marked }) => of !== null && !marked && isSame(written, of));
      if (entry && (cursor !== null || entries.at(-1) === entry)) {
        entry.own = true;
        entry.element?.classList.add("own");
      } else own = [...own.filter((known) => known.until > now), written];
    },
  };
}

/**
 * @param {{ id: string, operation: string, cursor: string | null }} written
 * @param {{ id: string, operation: string, cursor: string }} change
 */
function isSame(written, change) {
  if (written.cursor !== null) return written.cursor === change.cursor;
  return written.id === change.id && written.operation === change.operation;
}

/** @param {Change} change @param {import("./description.js").Description} words @param {boolean} own */
function createEntry(change, words, own) {
  const element = make("li", `entry entry-${words.kind}${own ? " own" : ""}`);
  element.dataset.id = change.id;
  const time = make("time", "entry-time", clock(Date.parse(change.at) || Date.now()));
  time.dateTime = change.at;
  time.title = change.at;
  const title = make("span", "entry-title", words.title);
  const detail = make("span", "entry-detail", words.detail);
  title.dir = detail.dir = "auto";
  element.append(title, time, make("span", "entry-kind", words.kind), detail, make("span", "entry-who", "this page"));
  return element;
}

/** @param {string} text @param {number} at */
function createNotice(text, at) {
  const element = make("li", "entry entry-notice");
  element.append(make("span", "entry-title", text), make("time", "entry-time", clock(at)));
  return element;
}

function createAnnouncer() {
  const region = part("announcer", HTMLElement);
  let latest = "";
  let more = 0;
  let scheduled = false;
  const soon = () => {
    if (scheduled || more === 0) return;
    scheduled = true;
    setTimeout(() => {
      region.textContent = more > 1 ? `${more} changes. Last: ${latest}` : latest;
      more = 0;
      setTimeout(() => {
        scheduled = false;
        soon(); // what has come meanwhile
      }, ANNOUNCE_EVERY_MS);
    }, 150);
  };
  /** @param {string} text */
  return (text) => {
    latest = text;
    more += 1;
    soon();
  };
}
