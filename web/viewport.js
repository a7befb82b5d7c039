// @ts-check
/** Which rows are in view, and scrolling by rows: the only file that measures, once per frame and never in between. */

import { part } from "./page.js";

/** Browsers lose precision, or stop, at heights of some 17 million pixels. */
const HIGHEST = 15_000_000;

/** @typedef {{ first: number, last: number }} Range rows in view, counted from the top of the list; `last` may lie below it */

export class Viewport {
  #body = part("rows", HTMLTableSectionElement);
  #head = part("orders-head", HTMLTableSectionElement);
  #masthead = part("masthead", HTMLElement);
  /** The height of a row, in pixels. */
  rowHeight = 48;
  /** What covers the upper edge of the window, in pixels. */
  #covered = 0;
  #height = -1;
  #top = 0;

  /** @param {() => void} changed other rows may be in view */
  constructor(changed) {
    const probe = part("row-height", HTMLElement);
    const sizes = new ResizeObserver(() => {
      this.rowHeight = probe.offsetHeight || this.rowHeight;
      this.#covered =
        this.#masthead.offsetHeight +
        (getComputedStyle(this.#head).position === "sticky" ? this.#head.offsetHeight : 0);
      changed();
    });
    for (const element of [probe, this.#head, this.#masthead]) sizes.observe(element);
    window.addEventListener("scroll", changed, { passive: true });
    window.addEventListener("resize", changed);
  }

  /** The number of rows that there is room for. */
  get most() {
    return Math.floor(HIGHEST / this.rowHeight);
  }

  /** How many whole rows fit into the window. */
  get rows() {
    return Math.max(1, Math.floor((window.innerHeight - this.#covered) / this.rowHeight));
  }

  /** Measure. @returns {Range} */
  read() {
    this.#top = this.#body.getBoundingClientRect().top;
    const first = Math.floor((this.#covered - this.#top + 1) / this.rowHeight);
    const last = Math.floor((window.innerHeight - this.#top - 1) / this.rowHeight);
    return { first: Math.max(0, first), last: Math.max(0, last) };
  }

  /** Make room for so many rows. @param {number} count */
  reserve(count) {
    const height = Math.min(HIGHEST, count * this.rowHeight);
    if (height === this.#height) return;
    this.#height = height;
    this.#body.style.height = `${height}px`;
  }

  /** Scroll, so that what has moved by so many rows is seen where it was. @param {number} rows */
  shift(rows) {
    window.scrollBy({ top: rows * this.rowHeight, behavior: "instant" });
  }

  /** Scroll as little as needed for a row to be seen whole. @param {number} row */
  reveal(row) {
    const top = this.#body.getBoundingClientRect().top + row * this.rowHeight;
    const below = top + this.rowHeight - window.innerHeight;
    if (top < this.#covered) window.scrollBy({ top: top - this.#covered, behavior: "instant" });
    else if (below > 0) window.scrollBy({ top: below, behavior: "instant" });
  }
}
