// @ts-check
/** The live strip: how many changes come, and how soon after their commit they are on the screen. */

import { UNCONNECTED, verdictOf } from "./connection.js";
import { Minute } from "./minute.js";
import { oncePerFrame, part, write } from "./page.js";

/** @typedef {import("./connection.js").Connection} Connection */

/** The most changes noted between two frames (a hidden page paints none). */
const MOST = 5000;
/** After a break, what was missed comes within that time. */
const SETTLE_MS = 1500;
/** How long it is said that it has come. */
const SAID_MS = 12_000;
const BAR = 3;

/**
 * @param {import("./store.js").OrderStore} store
 * @param {(words: string) => void} announce
 * @returns {(news: Readonly<Connection>) => void}
 */
export function createStrip(store, announce) {
  const root = part("strip", HTMLButtonElement);
  const words = part("strip-words", HTMLElement);
  const chart = createChart(part("strip-chart", HTMLCanvasElement));
  const indicator = part("indicator", HTMLDetailsElement);
  const minute = new Minute(performance.now());
  /** When the changes were committed that have come since the last frame. @type {string[]} */
  let commits = [];
  /** @type {Readonly<Connection>} */
  let connection = UNCONNECTED;
  let away = false;
  /** Until when changes from before the connection may come; null: none do. @type {number | null} */
  let settles = null;
  let missed = 0;
  let said = { words: "", until: 0 };

  const seen = oncePerFrame(() => {
    const now = Date.now();
    for (const text of commits) {
      const commit = Date.parse(text);
      if (Number.isNaN(commit)) continue;
      // What comes after a break was late before it could be sent: that says nothing of the way to the screen.
      if ((away || settles !== null) && commit <= (connection.liveSince ?? now)) missed += 1;
      else minute.note(now - commit, performance.now());
    }
    commits = [];
  });
  store.listen((event) => {
    if (event.kind !== "change" || commits.length >= MOST) return;
    commits.push(event.envelope.at);
    seen();
  });

  function follow() {
    const now = performance.now();
    if (away && verdictOf(connection, Date.now()) === "live") {
      away = false;
      settles = now + SETTLE_MS;
    } else if (settles !== null && now >= settles) {
      settles = null;
      if (missed > 0) {
        said = { words: `caught up on ${missed} ${missed === 1 ? "change" : "changes"}`, until: now + SAID_MS };
        announce(`Connected again: ${said.words}.`);
      }
      missed = 0;
    }
  }

  const paint = oncePerFrame(() => {
    const now = performance.now();
    const figures = minute.figures(now);
    write(words, [inWords(figures), now < said.until ? said.words : ""].filter(Boolean).join(" · "));
    chart(figures.counts);
  });
  setInterval(() => {
    follow();
    if (!document.hidden) paint();
  }, 1000);

  root.addEventListener("click", (event) => {
    event.stopPropagation(); // a click outside of the panel closes it
    indicator.open = !indicator.open;
    if (indicator.open) indicator.querySelector("summary")?.focus();
  });

  return (news) => {
    if (news.phase === "lost" && news.everLive) {
      away = true;
      settles = null;
    }
    connection = news;
  };
}

/** @param {import("./minute.js").Figures} figures */
function inWords({ perSecond, median, slowest }) {
  if (median === null) return "No changes in the last minute";
  const rate = perSecond >= 10 ? Math.round(perSecond) : Math.max(0.1, perSecond).toFixed(1);
  return `${rate} changes/s · on screen in ${duration(median)} (p50), ${duration(slowest ?? median)} (p99)`;
}

/** @param {number} milliseconds */
function duration(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Bars, one for each second. @param {HTMLCanvasElement} canvas @returns {(counts: readonly number[]) => void} */
function createChart(canvas) {
  let drawn = "";
  return (counts) => {
    const ink = getComputedStyle(canvas).color;
    const scale = Math.max(1, Math.ceil(devicePixelRatio));
    const picture = `${counts} ${ink} ${scale}`;
    const context = canvas.getContext("2d");
    if (picture === drawn || !context) return;
    drawn = picture;
    const height = canvas.clientHeight;
    canvas.width = counts.length * BAR * scale;
    canvas.height = height * scale;
    context.scale(scale, scale);
    context.fillStyle = ink;
    const most = Math.max(5, ...counts);
    for (const [second, count] of counts.entries()) {
      const bar = count === 0 ? 1 : Math.max(2, (count / most) * height);
      context.fillRect(second * BAR, height - bar, BAR - 1, bar);
    }
  };
}
