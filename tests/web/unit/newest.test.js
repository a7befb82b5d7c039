/** The orders shown are exactly the newest of the database, whatever is written, lost, repeated, filtered or late. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { OrderStore } from "../../../web/store.js";
import { Sync } from "../../../web/sync.js";
import { generator, Model, Stream, tick } from "./support/model.js";

const RUNS = 600;
const STEPS = 60;
/** Turns of the event loop after which everything pending has arrived. */
const PATIENCE = 3000;

/** @param {number} seed @param {{ foreign: boolean, faults: boolean }} options */
function setUp(seed, options) {
  const random = generator(seed);
  const model = new Model(random, options);
  for (let count = model.pick(30); count > 0; count -= 1) model.write();
  const store = new OrderStore(3 + model.pick(5), model.pick(4));
  /** @type {Stream | null} */
  let stream = null;
  const sync = new Sync({
    store,
    fetchList: (query) => model.list(query),
    fetchOrder: (id) => model.get(id),
    follow: async (following) => (stream = new Stream(model, following)),
    pause: async () => void (await tick()),
    onConnection: () => {},
    onNotice: () => {},
  });
  return { random, model, store, sync, stream: () => stream };
}

/** @param {ReturnType<typeof setUp>} world @param {string | null} status */
async function comeToRest({ model, store, stream }, status) {
  const expected = () => model.listed(model.docs, status).slice(0, store.capacity);
  const shown = () => store.ids.map((id) => store.get(id));
  let calm = 0;
  for (let turn = 0; turn < PATIENCE && calm < 12; turn += 1) {
    if (stream()?.open === false) stream()?.connect();
    const moved = stream()?.deliver() ?? true;
    await tick();
    const same = JSON.stringify(shown()) === JSON.stringify(expected());
    calm = !moved && same && model.inFlight === 0 ? calm + 1 : 0;
  }
  assert.deepEqual(shown(), expected());
  assert.ok(calm > 0, "it has not come to rest");
  if (store.complete) assert.ok(model.listed(model.docs, status).length <= store.capacity);
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
    if (kind < 0.6) model.write();
    else if (kind < 0.85) stream()?.deliver();
    else if (kind < 0.88 && stream()) {
      status = [null, "pending", "shipped"][model.pick(3)] ?? null;
      void sync.filter(status);
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
  test(`${RUNS} runs of inserts, changes, deletions, breaks and filters end in the newest orders ${name}`, async () => {
    for (let seed = 1; seed <= RUNS; seed += 1) {
      await run(seed, options).catch((error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
      });
    }
  });
}
