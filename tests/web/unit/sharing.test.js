/** Tabs that share a connection each have their orders exactly, whichever tab has the connection, and hear of each change once. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub } from "../../../web/hub.js";
import { Recent } from "../../../web/recent.js";
import { covers, widest } from "../../../web/view.js";
import { generator, Model, tick } from "./support/model.js";
import { Tabs } from "./support/tabs.js";

const RUNS = 200;
const STEPS = 120;
const PATIENCE = 4000;

/** @param {Tabs} tabs @param {Model} model */
async function comeToRest(tabs, model) {
  let calm = 0;
  for (let turn = 0; turn < PATIENCE && calm < 12; turn += 1) {
    tabs.elect();
    if (tabs.stream?.open === false) tabs.stream.connect();
    const moved = [tabs.stream?.deliver() ?? true, tabs.pass()].includes(true);
    await tick();
    const same = () => tabs.all.every((one) => JSON.stringify(shown(one)) === JSON.stringify(expected(one, model)));
    calm = !moved && model.inFlight === 0 && same() ? calm + 1 : 0;
  }
  for (const one of tabs.all) assert.deepEqual(shown(one), expected(one, model), one.id);
  assert.ok(calm > 0, "it has not come to rest");
}

/** @param {import("./support/tabs.js").OneTab} one */
const shown = ({ store }) => store.ids.map((id) => store.get(id));
/** @param {import("./support/tabs.js").OneTab} one @param {Model} model */
const expected = ({ store, status }, model) =>
  model.listed(model.docs, status).slice(0, Math.max(store.size, store.needed));

/** @param {readonly string[]} cursors */
function assertOnceAndInOrder(cursors, /** @type {string} */ who) {
  const places = cursors.map((cursor) => cursor.slice(1).split(/[.-]/).map(Number));
  for (const [index, [epoch = 0, position = 0]] of places.entries()) {
    const [lastEpoch = 0, last = 0] = places[index - 1] ?? [];
    assert.ok(
      index === 0 || epoch > lastEpoch || position > last,
      `${who}: ${cursors[index]} after ${cursors[index - 1]}`,
    );
  }
}

/** @param {number} seed @param {{ foreign: boolean, faults: boolean }} options */
async function run(seed, options) {
  const random = generator(seed);
  const model = new Model(random, options);
  for (let count = model.pick(40); count > 0; count -= 1) model.write();
  const tabs = new Tabs(model);
  await tabs.open();
  for (let step = 0; step < STEPS; step += 1) {
    const kind = random();
    const one = tabs.all[model.pick(tabs.all.length)];
    if (kind < 0.35) model.write();
    else if (kind < 0.55) tabs.stream?.deliver();
    else if (kind < 0.8) tabs.pass();
    else if (kind < 0.85 && tabs.all.length < 6) await tabs.open();
    else if (kind < 0.88 && one && tabs.all.length > 1) tabs.end(random() < 0.6 ? (tabs.all[0] ?? one) : one);
    else if (kind < 0.92 && one?.tab) {
      one.status = [null, "pending", "shipped"][model.pick(3)] ?? null;
      void one.sync.filter({ statuses: one.status === null ? [] : [one.status], customer: "", sought: "", sort: "" });
    } else if (kind < 0.94) tabs.stream?.lose();
    else if (kind < 0.95) tabs.timers.shift()?.();
    else if (kind < 0.96 && options.faults) model.breakHistory();
    else if (kind < 0.97 && tabs.stream?.open === false) tabs.stream.connect(random() < 0.3);
    else await tick();
    if (random() < 0.3) tabs.elect();
    if (random() < 0.03) await comeToRest(tabs, model);
  }
  await comeToRest(tabs, model);
  for (const { told, id } of tabs.all) assertOnceAndInOrder(told, id);
}

for (const [name, options] of Object.entries({
  "on a network without faults": { foreign: false, faults: false },
  "with lost requests and lagging servers": { foreign: false, faults: true },
})) {
  test(`${RUNS} runs of tabs that come, go, filter and take over end in the orders of the database ${name}`, async () => {
    for (let seed = 1; seed <= RUNS; seed += 1) {
      await run(seed, options).catch((error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
      });
    }
  });
}

test("when the tab that has the connection ends, the others read no list again and miss no change", async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const model = new Model(generator(seed), { foreign: false, faults: false });
    for (let number = 0; number < 20; number += 1) model.write();
    const tabs = new Tabs(model);
    for (let number = 0; number < 6; number += 1) await tabs.open();
    await comeToRest(tabs, model);
    const began = model.position;
    const [, ...others] = tabs.all;
    for (const one of others) [one.reads, one.told] = [0, []];
    for (let step = 0; step < 60; step += 1) {
      if (model.random() < 0.5)
        model.put(`${step}`.padStart(24, "f"), { _id: `${step}`.padStart(24, "f"), status: "pending" });
      if (model.random() < 0.5) tabs.stream?.deliver();
      if (model.random() < 0.5) tabs.pass();
      if (step === 30) tabs.end(/** @type {any} */ (tabs.all[0]));
      if (model.random() < 0.1) tabs.elect();
    }
    await comeToRest(tabs, model);
    const all = Array.from({ length: model.position - began }, (_, index) => model.cursor(began + index + 1));
    for (const one of others) {
      assert.deepEqual(one.told, all, `seed ${seed}: ${one.id} has been told of each change once`);
      assert.equal(one.reads, 0, `seed ${seed}: ${one.id} has read no list again`);
    }
    assert.equal(tabs.connections, 2, "one connection, and the one that took its place");
  }
});

test("the connection is about what all tabs want, and no more than is needed for that", () => {
  const pending = { status: ["pending"] };
  const two = { status: ["pending", "shipped"] };
  const adas = { status: ["pending"], customer_name: ["Ada"] };
  assert.equal(covers({}, adas), true);
  assert.equal(covers(two, pending), true);
  assert.equal(covers(pending, adas), true);
  assert.equal(covers(pending, two), false);
  assert.equal(covers(adas, pending), false);
  assert.equal(covers(pending, {}), false);
  assert.deepEqual(widest([pending, two, adas]), two);
  assert.deepEqual(widest([{ status: ["shipped"] }, adas]), {}, "everything, where none of them is enough");
});

test("a tab that wants other orders than those that were followed is not told that it has missed nothing", async () => {
  /** @type {any[]} */
  const posted = [];
  /** @type {any} */
  let listener;
  const recent = new Recent();
  recent.begin("e.0-0");
  const hub = new Hub({
    id: "hub",
    recent,
    scope: { status: ["pending"] },
    position: () => null,
    connect: async (following) => {
      listener = following.listener;
      return { filter: async () => "e.3-0", retry() {}, close() {} };
    },
    post: (message) => posted.push(message),
    now: () => 0,
    later: () => {},
  });
  listener.greeted({ id: "1", server: "one", cursor: "e.0-0" }, true);
  for (let n = 1; n <= 3; n += 1)
    listener.changed({ operation: "INSERT", id: `${n}`, data: {}, cursor: `e.${n}-0`, at: "" });
  const welcomed = async (/** @type {string} */ tab, /** @type {string} */ cursor, /** @type {any} */ filter) => {
    await hub.receive({ kind: "join", tab, cursor, filter });
    return posted.findLast(({ kind, to }) => kind === "welcome" && to === tab);
  };
  const same = await welcomed("a", "e.1-0", { status: ["pending"] });
  assert.deepEqual(
    same.changes.map((/** @type {any} */ change) => change.cursor),
    ["e.2-0", "e.3-0"],
  );
  const other = await welcomed("b", "e.1-0", { status: ["shipped"] });
  assert.equal(other.changes, null, "those after its list that only it wants have not come");
  assert.equal(other.cursor, "e.3-0", "its list has to be as new as this");
  assert.deepEqual(other.scope, {});
  assert.deepEqual((await welcomed("c", "e.3-0", { status: ["delivered"] })).changes, []);
});

test("what is kept of the stream is bounded, and says where it begins", () => {
  const recent = new Recent();
  const at = (/** @type {number} */ n) => `e.${n}-0`;
  const change = (/** @type {number} */ n) => /** @type {any} */ ({ cursor: at(n), id: "1", operation: "UPDATE" });
  recent.begin(at(0));
  for (let n = 1; n <= 600; n += 1) assert.equal(recent.add(change(n)), true);
  assert.equal(recent.add(change(600)), false, "once only");
  assert.equal(recent.after(at(99)), null, "too long ago");
  assert.equal(recent.after(at(100))?.length, 500);
  assert.deepEqual(recent.after(at(599)), [change(600)]);
  assert.deepEqual(recent.after(at(700)), [], "a list may be newer than the stream");
  assert.equal(recent.after("f.599-0"), null, "another epoch");
  assert.equal(recent.after(null), null);
  recent.forgetUpTo(at(550));
  assert.equal(recent.after(at(549)), null);
  assert.equal(recent.after(at(550))?.length, 50);
  assert.equal(recent.position, at(600));
});
