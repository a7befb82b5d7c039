/** The indicator's word follows from the state of the connection, and never promises more. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { doubtOf, explain, SILENCE_MS, UNCONNECTED, updated, verdictOf } from "../../../web/connection.js";

const NOW = 1_800_000_000_000;
/** @type {import("../../../web/connection.js").Connection} */
const LIVE = {
  ...UNCONNECTED,
  phase: "open",
  everLive: true,
  list: "current",
  transport: "WebSocket",
  heardAt: NOW,
  trueAt: NOW,
};

/** @type {Partial<typeof LIVE>} */
const SSE = { transport: "SSE" };

/** @type {[string, Partial<typeof LIVE>, string][]} */
const CASES = [
  ["nothing is known yet", UNCONNECTED, "connecting"],
  ["the first try failed", { ...UNCONNECTED, phase: "lost" }, "connecting"],
  ["all is well", {}, "live"],
  ["the connection is open but no list was read yet", { list: "none" }, "connecting"],
  ["the list is being read again", { list: "outdated" }, "stale"],
  ["the server itself hears of no changes", { source: "watcher_silent" }, "stale"],
  ["the connection was lost", { phase: "lost" }, "reconnecting"],
  ["the connection was lost and there is no network", { phase: "lost", offlineSince: NOW - 1 }, "offline"],
  ["there is no network and nothing was heard since", { offlineSince: NOW + 1 }, "offline"],
  ["there is no network but the server still speaks", { offlineSince: NOW - 1 }, "live"],
  ["nothing was heard for longer than the pings are apart", { heardAt: NOW - SILENCE_MS.WebSocket - 1 }, "stale"],
  ["nothing was heard over SSE for longer than its heartbeats are apart", { ...SSE, heardAt: NOW - 20_001 }, "stale"],
  ["SSE was heard between two pings of a websocket", { ...SSE, heardAt: NOW - 15_500 }, "live"],
  ["a request was given up and nothing was heard since", { unansweredAt: NOW }, "stale"],
  ["a request was given up and the server has spoken since", { unansweredAt: NOW - 1 }, "live"],
];

for (const [when, news, verdict] of CASES) {
  test(`when ${when}, it says ${verdict}`, () => {
    const connection = { ...LIVE, ...news };
    assert.equal(verdictOf(connection, NOW), verdict);
    assert.match(explain(connection, verdictOf(connection, NOW)), /\.$/);
  });
}

/** What is to be said beside old orders, three seconds after all was well. @type {[string, Partial<typeof LIVE>, string | null][]} */
const DOUBTS = [
  ["all is well", { heardAt: NOW + 3000 }, null],
  ["the connection was lost", { phase: "lost", retryAt: NOW + 5400 }, "reconnecting in 3 s"],
  ["it is being opened again", { phase: "lost" }, "reconnecting now"],
  ["there is no network", { phase: "lost", offlineSince: NOW, retryAt: NOW + 4000 }, "no network, reconnecting in 1 s"],
  ["the list is read again for a moment", { list: "outdated", listSince: NOW + 2500 }, null],
  ["the list is read again for long", { list: "outdated", listSince: NOW }, "reading the list again"],
  ["the server does not receive changes", { source: "watcher_silent" }, "the server receives no changes"],
  ["a request was given up", { unansweredAt: NOW + 1 }, "the server does not answer, asking again"],
];

for (const [when, news, next] of DOUBTS) {
  test(`when ${when}, a reader is told ${next ?? "nothing"}`, () => {
    const doubt = doubtOf({ ...LIVE, ...news }, NOW + 3000);
    assert.deepEqual(doubt, next === null ? null : { asOf: NOW, next });
  });
}

test("before there is any list, a first attempt is no reason for doubt, and a failed one is", () => {
  assert.equal(doubtOf(UNCONNECTED, NOW), null);
  const failed = doubtOf({ ...UNCONNECTED, phase: "lost", attempts: 1, retryAt: NOW + 1000 }, NOW);
  assert.deepEqual(failed, { asOf: null, next: "no connection yet, reconnecting in 1 s" });
});

test("the orders are true up to the last message while the connection was live", () => {
  let connection = updated(LIVE, { heardAt: NOW + 1000 }, NOW + 1000);
  connection = updated(connection, { source: "watcher_silent" }, NOW + 2000);
  connection = updated(connection, { heardAt: NOW + 9000 }, NOW + 9000);
  assert.equal(connection.trueAt, NOW + 1000, "pings of a server that is blind itself prove nothing");
  connection = updated(connection, { source: null }, NOW + 9500);
  assert.equal(connection.trueAt, NOW + 9000);
});
