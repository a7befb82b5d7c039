// @ts-check
/** Points in time for people: how long ago, and exactly when. */

import { textOf } from "./order.js";
import { write } from "./page.js";

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** A shorter time ago is "now". */
const NOW_SECONDS = 2;
/** How often shown times are updated: seconds are never more than one behind. */
const TICK_MS = 500;

/**
 * In whole units that have passed: "26s ago" is at least 26 and less than 27 seconds ago.
 * @param {number} then milliseconds since 1970
 * @param {number} now
 */
export function ago(then, now) {
  const seconds = Math.trunc((now - then) / 1000);
  if (Math.abs(seconds) < NOW_SECONDS) return "now";
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return RELATIVE.format(-Math.trunc(seconds / length), unit);
  }
  return RELATIVE.format(-seconds, "second");
}

/** @param {number} then */
export function clock(then) {
  return CLOCK.format(then);
}

/** @param {unknown} value a time as the server writes it */
export function exactly(value) {
  const then = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(then) ? "an unknown time" : EXACT.format(then);
}

/**
 * Show a time in a <time> element; a value that is no time is shown as text.
 * @param {HTMLTimeElement} element
 * @param {unknown} value
 */
export function writeTime(element, value) {
  const then = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(then)) {
    element.removeAttribute("datetime");
    element.removeAttribute("title");
    write(element, textOf(value, 24) || "–");
    return;
  }
  const iso = new Date(then).toISOString();
  if (element.dateTime !== iso) {
    element.dateTime = iso;
    element.title = EXACT.format(then);
  }
  write(element, ago(then, Date.now()));
}

/**
 * Keep the relative times below an element up to date.
 * @param {ParentNode} root
 */
export function keepTimes(root) {
  const tick = () => {
    if (document.hidden) return;
    for (const element of root.querySelectorAll("time")) {
      if (element.dateTime) write(element, ago(Date.parse(element.dateTime), Date.now()));
    }
  };
  setInterval(tick, TICK_MS);
  document.addEventListener("visibilitychange", tick);
}
