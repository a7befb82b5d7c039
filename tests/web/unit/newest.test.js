/** The orders are exactly those of the database's list, from the newest or from where the user looks, whatever happens. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { copyOf } from "./support/copy.js";
import { generator, listedBefore, Model, tick } from "./support/model.js";

const RUNS = 600;
const STEPS = 60;
/** Turns of the event loop after which everything pending has arrived. */
const PATIENCE = 3000;

/** @param {number} seed @param {{ foreign: boolean, faults: boolean }} options */
function setUp(seed, options) {
  const random = generator(seed);
  const model = new Model(random, options);
  for (let count = model.pick(60); count > 0; count -= 1) model.write();
  return { random, model, ...copyOf(model) };
}

/** @param {ReturnType<typeof setUp>} world @param {string | null} status */
async function comeToRest(world, status) {
  const { model, store, stream } = world;
  const { start } = store;
  const below = (/** @type {{ _id: string }} */ doc) => start === null || listedBefore(start, doc._id) < 0;
  const expected = () => model.listed(model.docs, status).filter(below).slice(0, Math.max(store.size, store.needed));
  const shown = () => store.ids.map((id) => store.get(id));
  let calm = 0;
  for (let turn = 0; turn < PATIENCE && calm < 12; turn += 1) {
    if (stream()?.open === false) stream()?.connect();
    const moved = stream()?.deliver() ?? true;
    await tick();
    const same = () => JSON.stringify(shown()) === JSON.stringify(expected());
    calm = !moved && model.inFlight === 0 && same() ? calm + 1 : 0;
    if (start !== store.start) {
      await comeToRest(world, status); // all that was below has gone: it is at the top again
      return;
    }
  }
  assert.deepEqual(shown(), expected());
  assert.ok(calm > 0, "it has not come to rest");
  if (store.complete) assert.ok(model.listed(model.docs, status).length <= store.capacity);
}

/** The user scrolls, by a little or far away. @param {ReturnType<typeof setUp>} world */
function look({ model, store, sync }) {
  const first = model.random() < 0.7 ? model.pick(store.capacity) : model.pick(60) - 30;
  sync.look(first, first + 1);
  if (model.random() < 0.1) sync.toTop();
}

/** @param {number} seed @param {{ foreign: boolean, faults: boolean }} options */
async function run(seed, options) {
  const world = setUp(seed, options);
  const { random, model, store, sync, stream } = world;
  /** @type {string | null} */
  let status = null;
  void sync.start();
  for (let step = 0; step < STEPS; step += 1) {
    const kind = random();
    if (kind < 0.55) model.write();
    else if (kind < 0.6) look(world);
    else if (kind < 0.85) stream()?.deliver();
    else if (kind < 0.88 && stream()) {
      status = [null, "pending", "shipped"][model.pick(3)] ?? null;
      void sync.filter({ statuses: status === null ? [] : [status], customer: "", sought: "", sort: "" });
    } else if (kind < 0.92) stream()?.lose();
    else if (kind < 0.95 && stream()?.open === false) stream()?.connect(random() < 0.3);
    else if (kind < 0.96 && options.faults) model.breakHistory();
    else await tick();
    if (store.loaded) assert.ok(store.size <= store.capacity);
    if (status !== null) for (const id of store.ids) assert.equal(store.get(id)?.status, status);
    if (random() < 0.05) await comeToRest(world, status);
  }
  await comeToRest(world, status);
}

for (const [name, options] of Object.entries({
  "on a network without faults": { foreign: false, faults: false },
  "with lost requests and lagging servers": { foreign: false, faults: true },
  "with ids of other types among them": { foreign: true, faults: true },
})) {
  test(`${RUNS} runs of inserts, changes, deletions, breaks, filters and scrolling end in the orders of the database ${name}`, async () => {
    for (let seed = 1; seed <= RUNS; seed += 1) {
      await run(seed, options).catch((error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
      });
    }
  });
}
