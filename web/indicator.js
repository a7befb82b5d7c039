// @ts-check
/** The connection indicator: shows only what is known about the connection. */

import { explain, UNCONNECTED, verdictOf } from "./connection.js";
import { oncePerFrame, part, write } from "./page.js";
import { ago, clock } from "./time.js";

/** @typedef {import("./connection.js").Connection} Connection */

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  stale: "Catching up",
  offline: "Offline",
};

/** @param {import("./store.js").OrderStore} store */
export function createIndicator(store) {
  const root = part("indicator", HTMLDetailsElement);
  const word = part("indicator-word", HTMLElement);
  const badge = part("indicator-transport", HTMLElement);
  const why = part("indicator-why", HTMLElement);
  const via = part("indicator-via", HTMLElement);
  const server = part("indicator-server", HTMLElement);
  const since = part("indicator-since", HTMLElement);
  const event = part("indicator-event", HTMLElement);
  const cursor = part("indicator-cursor", HTMLElement);
  /** @type {Readonly<Connection>} */
  let connection = UNCONNECTED;

  function render() {
    const now = Date.now();
    const verdict = verdictOf(connection, now);
    const { transport, liveSince, eventAt, attempts } = connection;
    if (root.dataset.state !== verdict) document.documentElement.dataset.connection = root.dataset.state = verdict;
    if (root.dataset.transport !== (transport ?? "")) root.dataset.transport = transport ?? "";
    write(word, verdict === "stale" && connection.list === "current" ? "Not up to date" : WORDS[verdict]);
    const trying = attempts > 1 && (verdict === "connecting" || verdict === "reconnecting");
    write(badge, verdict === "live" ? (transport ?? "") : trying ? `attempt ${attempts}` : "");
    write(why, explain(connection, verdict));
    write(via, transport ?? "–");
    write(server, connection.server ?? "–");
    write(since, liveSince ? ago(liveSince, now) : "not now");
    write(event, eventAt ? `${ago(eventAt, now)} (${clock(eventAt)})` : "none yet");
    write(cursor, store.cursor ?? "–");
  }

  const soon = oncePerFrame(render);
  let due = false;
  store.listen(() => {
    if (due) return;
    due = true; // as often as one can read, not once per frame
    setTimeout(() => {
      due = false;
      soon();
    }, 250);
  });
  setInterval(soon, 1000);
  document.addEventListener("click", (click) => {
    if (click.target instanceof Node && !root.contains(click.target)) root.open = false;
  });
  root.addEventListener("keydown", (key) => {
    if (key.key !== "Escape" || !root.open) return;
    root.open = false;
    root.querySelector("summary")?.focus();
  });

  /** @param {Connection} news */
  return (news) => {
    connection = news;
    soon();
  };
}
