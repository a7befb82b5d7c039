/** The small parts: event streams, retries, deletions, outcomes, times. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Deletions, UNDO_MS } from "../../../web/deletions.js";
import { EventStreamParser } from "../../../web/event-stream.js";
import { findOut, madeBy, SETTLED_MS } from "../../../web/outcome.js";
import { Retry } from "../../../web/retry.js";
import { countWaiting } from "../../../web/waiting.js";
import { ago } from "../../../web/time.js";

/** @param {string[]} pieces */
function heard(pieces) {
  /** @type {unknown[]} */
  const all = [];
  const parser = new EventStreamParser({
    event: (name, data) => all.push([name, data]),
    mark: (id) => all.push(id),
    retry: (milliseconds) => all.push(milliseconds),
  });
  for (const piece of pieces) parser.feed(piece);
  return all;
}

test("an event stream is read the same however it is cut into pieces", () => {
  const text =
    "\uFEFFretry: 1500\r\n: a comment\r\nid: e.1-0\r\nevent: orderUpdate\ndata: {\ndata:  }\r\n\nid: e.2-0\n\ndata\rdata: x\r\r\nevent: unsent\ndata: y";
  const expected = [1500, ["orderUpdate", "{\n }"], "e.2-0", ["message", "\nx"]];
  assert.deepEqual(heard([text]), expected);
  assert.deepEqual(heard([...text]), expected);
  for (let cut = 1; cut < text.length; cut += 1)
    assert.deepEqual(heard([text.slice(0, cut), text.slice(cut)]), expected);
});

test("waits double up to a bound, restart after a success, and are announced", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  let tries = 0;
  /** @type {(number | null)[]} */
  const told = [];
  const retry = new Retry(
    () => (tries += 1),
    (at) => told.push(at === null ? null : at - Date.now()),
  );
  const wait = () => {
    retry.later();
    retry.later(); // a second request has no effect
    const due = told.at(-1) ?? 0;
    context.mock.timers.tick(Math.ceil(due));
    return due;
  };
  const waits = [wait(), wait(), wait(), wait(), wait()];
  waits.forEach((each, index) =>
    assert.ok(each >= 500 * 2 ** Math.min(index, 3) && each <= 1000 * 2 ** Math.min(index, 3)),
  );
  assert.equal(tries, 5);
  retry.succeeded();
  assert.ok(wait() <= 1000);
  retry.atLeast(3000);
  retry.succeeded();
  assert.ok(wait() >= 1500, "the server's own wish counts");
});

/** @param {import("node:test").TestContext} context */
function deletions(context, accepted = true) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  /** @type {string[]} */
  const sent = [];
  const send = async (/** @type {string} */ id) => {
    sent.push(id);
    return accepted;
  };
  return { all: new Deletions(send, mock.fn()), sent };
}

test("a deletion is sent when the time to undo it is over, and once, however often it is asked for", (context) => {
  const { all, sent } = deletions(context);
  for (let times = 0; times < 5; times += 1) all.ask("a");
  context.mock.timers.tick(UNDO_MS - 1);
  assert.deepEqual(sent, []);
  assert.equal(all.stateOf("a"), "waiting");
  context.mock.timers.tick(1);
  assert.deepEqual(sent, ["a"]);
  assert.equal(all.stateOf("a"), "sent");
  all.ask("a");
  all.undo("a");
  assert.equal(all.stateOf("a"), "sent", "too late");
});

test("an undone deletion is not sent, nor that of an order which has gone by itself", (context) => {
  const { all, sent } = deletions(context);
  all.ask("a");
  all.undo("a");
  all.ask("b");
  all.gone("b");
  context.mock.timers.tick(UNDO_MS);
  assert.deepEqual(sent, []);
  assert.equal(all.stateOf("a"), "none");
});

test("when the page is hidden, waiting deletions are sent at once", (context) => {
  const { all, sent } = deletions(context);
  all.ask("a");
  all.ask("b");
  all.sendAll();
  context.mock.timers.tick(UNDO_MS);
  assert.deepEqual(sent, ["a", "b"]);
});

test("an order that was not deleted after all is as before", async (context) => {
  const { all } = deletions(context, false);
  all.ask("a");
  all.sendAll();
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(all.stateOf("a"), "none");
});

/** @param {(at: number) => Promise<string | null>} look */
async function outcome(look) {
  let now = 0;
  let asked = 0;
  const time = { now: () => now, pause: async (/** @type {number} */ wait) => void (now += wait) };
  const found = await findOut(() => ((asked += 1), look(now)), time);
  return { found, now, asked };
}

test("a write is found as soon as it is there", async () => {
  const { found, now } = await outcome(async (at) => (at >= 1000 ? "it" : null));
  assert.equal(found, "it");
  assert.ok(now < SETTLED_MS);
});

test("a write that is missing after the server must have given up did not happen", async () => {
  const { found, now, asked } = await outcome(async () => null);
  assert.equal(found, null);
  assert.ok(now >= SETTLED_MS && asked < 10);
});

test("without an answer nothing is settled, however long that takes", async () => {
  const { found, now } = await outcome(async (at) => {
    if (at < 100_000) throw new Error("no answer");
    return "it";
  });
  assert.equal(found, "it");
  assert.ok(now >= 100_000);
});

test("the order that a request made is told from its twins by its age and by what was known", () => {
  const made = 1_800_000_000;
  const idAt = (/** @type {number} */ seconds) => `${seconds.toString(16)}0000000000000000`;
  const fields = { customer_name: " Ada ", product_name: "Lamp", status: "pending" };
  const stored = { customer_name: "Ada", product_name: "Lamp", status: "pending" };
  const order = (/** @type {string} */ id, more = {}) => ({ _id: id, ...stored, ...more });
  const old = order(idAt(made - 3600));
  const mine = order(idAt(made + 1));
  const nobody = new Set();
  assert.equal(madeBy([mine, old], fields, nobody, made * 1000), mine._id);
  assert.equal(madeBy([old], fields, nobody, made * 1000), null);
  assert.equal(madeBy([mine], fields, new Set([mine._id]), made * 1000), null);
  assert.equal(madeBy([order(idAt(made), { status: "shipped" }), order("text")], fields, nobody, made * 1000), null);
});

test("orders newer than the oldest shown wait; those filled in from below do not", () => {
  const shown = new Map([["c"], ["d"]].map(([id]) => [id, null]));
  assert.equal(countWaiting(["a", "b", "c", "d", "e"], shown), 2);
  assert.equal(countWaiting(["c", "b", "d"], shown), 1);
  assert.equal(countWaiting(["a", "b"], shown), 2, "all that was shown has been pushed out");
  assert.equal(countWaiting(["c", "d"], shown), 0);
});

test("a time ago is said in whole units that have passed", () => {
  const now = 1_800_000_000_000;
  const said = (/** @type {number} */ seconds) => ago(now - seconds * 1000, now);
  assert.deepEqual([0, 1.9, 2, 26, 26.99, 59.9, 60, 119, 3599, 7199].map(said), [
    "now",
    "now",
    "2s ago",
    "26s ago",
    "26s ago",
    "59s ago",
    "1m ago",
    "1m ago",
    "59m ago",
    "1h ago",
  ]);
});
