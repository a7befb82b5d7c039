// @ts-check
/** The activity log: the last changes in words, newest on top. */

import { describe } from "./description.js";
import { make, oncePerFrame, part, write } from "./page.js";
import { clock } from "./time.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {{ element: HTMLLIElement, id: string, operation: string, cursor: string }} Entry */

const KEPT = 100;
/** A screen reader gets one sentence per interval; every single change would drown everything else. */
const ANNOUNCE_EVERY_MS = 4000;

/** @param {import("./store.js").OrderStore} store */
export function createLog(store) {
  const list = part("activity", HTMLOListElement);
  const count = part("activity-count", HTMLElement);
  const empty = part("activity-empty", HTMLElement);
  const announce = createAnnouncer();
  /** @type {(() => HTMLLIElement)[]} */
  let waiting = [];
  /** @type {Entry[]} newest last */
  let entries = [];
  /** @type {{ id: string, operation: string, cursor: string | null, until: number }[]} */
  let own = [];
  let total = 0;

  const flush = oncePerFrame(() => {
    list.prepend(...waiting.map((build) => build()).reverse());
    waiting = [];
    while (list.children.length > KEPT) list.lastElementChild?.remove();
    entries = entries.slice(-KEPT);
    write(count, total === 1 ? "1 change" : `${total} changes`);
    empty.hidden = true;
  });

  /** @param {() => HTMLLIElement} build */
  function add(build) {
    waiting.push(build);
    if (waiting.length > KEPT) waiting.shift();
    flush();
  }

  store.listen((event) => {
    if (event.kind !== "change") return;
    const { envelope, before } = event;
    total += 1;
    const words = describe(envelope, before);
    announce(`${words.kind} ${words.title}, ${words.detail}`);
    add(() => {
      const element = createEntry(envelope, words);
      entries.push({ element, id: envelope.id, operation: envelope.operation, cursor: envelope.cursor });
      const match = own.findIndex((written) => isSame(written, envelope));
      if (match >= 0) {
        own.splice(match, 1);
        element.classList.add("own");
      }
      return element;
    });
  });

  return {
    /** Tell it to users of a screen reader. */
    announce,
    /** @param {string} text */
    notice(text) {
      announce(text);
      add(() => createNotice(text));
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
      const entry = entries.findLast((known) => isSame(written, known) && !known.element.classList.contains("own"));
      if (entry && (cursor !== null || entries.at(-1) === entry)) entry.element.classList.add("own");
      else own = [...own.filter((known) => known.until > now), written];
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

/** @param {Envelope} envelope @param {import("./description.js").Description} words */
function createEntry(envelope, words) {
  const element = make("li", `entry entry-${words.kind}`);
  element.dataset.id = envelope.id;
  const time = make("time", "entry-time", clock(Date.parse(envelope.at) || Date.now()));
  time.dateTime = envelope.at;
  time.title = envelope.at;
  element.append(
    make("span", "entry-title", words.title),
    time,
    make("span", "entry-kind", words.kind),
    make("span", "entry-detail", words.detail),
    make("span", "entry-who", "this page"),
  );
  return element;
}

/** @param {string} text */
function createNotice(text) {
  const element = make("li", "entry entry-notice");
  element.append(make("span", "entry-title", text), make("time", "entry-time", clock(Date.now())));
  return element;
}

function createAnnouncer() {
  const region = part("announcer", HTMLElement);
  let latest = "";
  let more = 0;
  let scheduled = false;
  /** @param {string} text */
  return (text) => {
    latest = text;
    more += 1;
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => {
      region.textContent = more > 1 ? `${more} changes. Last: ${latest}` : latest;
      more = 0;
      setTimeout(() => {
        scheduled = false;
      }, ANNOUNCE_EVERY_MS);
    }, 150);
  };
}
