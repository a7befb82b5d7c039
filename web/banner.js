// @ts-check
/** The banner: says that the orders may be old, since when, and what happens next; the rows are dimmed meanwhile. */

import { doubtOf, UNCONNECTED } from "./connection.js";
import { hide, part, write } from "./page.js";
import { clock } from "./time.js";

/** @typedef {import("./connection.js").Connection} Connection */

/** How often the countdown and the silence are checked. */
const TICK_MS = 250;

export function createBanner() {
  const banner = part("doubt", HTMLElement);
  /** @type {Readonly<Connection>} */
  let connection = UNCONNECTED;

  function render() {
    const doubt = doubtOf(connection, Date.now());
    document.documentElement.toggleAttribute("data-doubt", doubt !== null);
    hide(banner, doubt === null);
    if (!doubt) return;
    const start = doubt.asOf === null ? "" : `Orders as of ${clock(doubt.asOf)}, `;
    const text = `${start}${doubt.next}`;
    write(banner, text.charAt(0).toUpperCase() + text.slice(1));
  }

  setInterval(render, TICK_MS);

  /** @param {Connection} news */
  return (news) => {
    connection = news;
    render();
  };
}
