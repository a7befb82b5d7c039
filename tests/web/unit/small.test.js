/** The small parts: event streams, retries, deletions, outcomes, times. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Deletions, UNDO_MS } from "../../../web/deletions.js";
import { EventParser } from "../../../clients/js/src/event-parser.js";
import { findOut, madeBy, SETTLED_MS } from "../../../web/outcome.js";
import { Backoff } from "../../../clients/js/src/retry.js";
import { countWaiting } from "../../../web/waiting.js";
import { ago } from "../../../web/time.js";
import { oncePerFrame } from "../../../web/page.js";
import { EVERYTHING, addressOf, matcherOf, noneOf, viewIn, whyLeft } from "../../../web/view.js";

/** @param {string[]} pieces */
function heard(pieces) {
  /** @type {unknown[]} */
  const all = [];
  const parser = new EventParser();
  let retry = 0;
  const note = () => parser.retry !== retry && all.push((retry = parser.retry));
  for (const piece of pieces) {
    for (const { name, data, id } of parser.feed(piece)) {
      note();
      all.push(data === "" ? id : [name, data]);
    }
    note();
  }
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

test("waits double up to a bound and restart after a success, and the server's own wish counts", () => {
  const backoff = new Backoff();
  for (const most of [200, 400, 800, 1600, 3200, 6400, 8000, 8000]) {
    const wait = backoff.next();
    assert.ok(wait >= most / 2 && wait <= most, `${wait} of ${most}`);
  }
  backoff.succeeded();
  assert.ok(backoff.next() <= 200);
  backoff.atLeast = 3000;
  assert.ok(backoff.next() >= 3000);
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

test("a view survives its address, and what else is there stays", () => {
  for (const statuses of [[], ["pending"], ["pending", "shipped", "delivered"]]) {
    for (const customer of ["", "Ada", "a&b=c+d %?#", " ", "שלום"]) {
      const query = addressOf({ ...EVERYTHING, statuses, customer }, "?transport=sse&status=delivered&customer=x");
      assert.deepEqual(viewIn(query), { ...EVERYTHING, statuses, customer });
      assert.equal(new URLSearchParams(query).get("transport"), "sse");
    }
  }
  assert.deepEqual(viewIn("?status=shipped&status=pending&status=lost&status=shipped"), {
    ...EVERYTHING,
    statuses: ["pending", "shipped"],
  });
});

test("an order that leaves a view is told why", () => {
  const view = { ...EVERYTHING, statuses: ["pending", "shipped"], customer: "Ada" };
  const matches = matcherOf(view);
  assert.equal(matches?.({ status: "shipped", customer_name: "Ada" }), true);
  assert.equal(matches?.({ status: "shipped", customer_name: "ada" }), false);
  assert.equal(whyLeft({ status: "delivered", customer_name: "Ada" }, view), "now delivered");
  assert.equal(whyLeft({ status: "pending", customer_name: "Grace" }, view), "another customer’s");
  assert.equal(whyLeft(null, view), "has left");
  assert.equal(whyLeft({}, { ...EVERYTHING, statuses: ["pending"] }), "no longer pending");
  assert.equal(noneOf(view), "No pending or shipped orders of the customer Ada.");
  assert.equal(noneOf({ ...EVERYTHING, customer: "Ada" }), "No orders of the customer Ada.");
});

test("what is due once per frame is done once, and what was asked for before does not do it too early", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  /** @type {Map<number, () => void>} */
  const frames = new Map();
  let last = 0;
  const paint = () => {
    const due = [...frames.values()];
    frames.clear();
    for (const act of due) act();
  };
  Object.assign(globalThis, {
    requestAnimationFrame: (/** @type {() => void} */ act) => frames.set((last += 1), act) && last,
    cancelAnimationFrame: (/** @type {number} */ id) => frames.delete(id),
  });
  let done = 0;
  const soon = oncePerFrame(() => (done += 1));
  for (let frame = 1; frame <= 120; frame += 1) {
    soon();
    soon();
    t.mock.timers.tick(16); // after a second, what an earlier frame has left behind would be due now
    assert.equal(done, frame - 1);
    paint();
    assert.equal(done, frame);
  }
  soon();
  t.mock.timers.tick(1000); // a page that is not painted does it all the same, and not again in a later frame
  assert.equal(done, 121);
  paint();
  assert.equal(done, 121);
  soon.now();
  assert.equal(done, 122);
});
