/** The indicator's word follows from what is known, and never promises more. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, SILENCE_MS, UNCONNECTED, verdictOf } from "../../../web/connection.js";

const NOW = 1_800_000_000_000;
/** @type {import("../../../web/connection.js").Connection} */
const LIVE = { ...UNCONNECTED, phase: "open", everLive: true, list: "current", transport: "WebSocket", heardAt: NOW };

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
  ["nothing was heard for longer than the pings are apart", { heardAt: NOW - SILENCE_MS - 1 }, "stale"],
  ["SSE is silent, whose heartbeats a page cannot hear", { transport: "SSE", heardAt: NOW - 9 * SILENCE_MS }, "live"],
];

for (const [when, news, verdict] of CASES) {
  test(`when ${when}, it says ${verdict}`, () => {
    const connection = { ...LIVE, ...news };
    assert.equal(verdictOf(connection, NOW), verdict);
    assert.match(explain(connection, verdictOf(connection, NOW)), /\.$/);
  });
}
