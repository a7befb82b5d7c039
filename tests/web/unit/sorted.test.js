/** A list that is sorted or searched is an unbroken part of the database's list, whatever moves in it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, foundBy, partOf, sortedBy } from "../../../web/ordering.js";
import { SortedListing } from "../../../web/sorted-listing.js";
import { OrderStore } from "../../../web/store.js";
import { canSort, EVERYTHING, fitting, viewIn, without } from "../../../web/view.js";
import { copyOf } from "./support/copy.js";
import { generator, listedBefore, markedBy, Model, tick } from "./support/model.js";

const RUNS = 200;
const STEPS = 60;
const PATIENCE = 4000;
const NAMES = ["Ada", "Adam", "Grace", "", "Zoë", "\u{1f600}", "\uffee"];

/** A database that lists by customer or by what is found, as MongoDB would: by the bytes of UTF-8. */
class SortedModel extends Model {
  /** @type {string} `q` and a text, or the sort */
  by = "";

  /** @param {string} id @param {any} after */
  put(id, after) {
    super.put(
      id,
      after && { ...after, customer_name: NAMES[this.pick(NAMES.length)], product_name: NAMES[this.pick(3)] },
    );
  }

  /** @param {any} doc @returns {[number, Buffer, string] | null} */
  keyOf(doc) {
    const bytes = (/** @type {string} */ text) => Buffer.from(text);
    if (!this.by.startsWith("q")) return [0, bytes(doc.customer_name), doc._id];
    const text = this.by.slice(1);
    if (doc._id.startsWith(text)) return [0, bytes(doc._id), doc._id];
    if (doc.customer_name.startsWith(text)) return [2, bytes(doc.customer_name), doc._id];
    return doc.product_name.startsWith(text) ? [3, bytes(doc.product_name), doc._id] : null;
  }

  /** @param {any} one @param {any} other */
  order(one, other) {
    const [a, b] = [/** @type {any} */ (this.keyOf(one)), /** @type {any} */ (this.keyOf(other))];
    const ascending = a[0] - b[0] || Buffer.compare(a[1], b[1]) || (a[2] < b[2] ? -1 : a[2] > b[2] ? 1 : 0);
    return this.by.startsWith("-") ? -ascending : ascending;
  }

  /** @param {Map<string, any>} docs @param {string | null} status */
  listed(docs, status) {
    if (this.by === "") return super.listed(docs, status);
    const passing = [...docs.values()].filter((doc) => (status === null || doc.status === status) && this.keyOf(doc));
    return passing.sort((one, other) => this.order(one, other));
  }

  /** @param {string | null} mark an `after` of the model's @param {any} doc */
  isBelow(mark, doc) {
    if (!mark) return true;
    return this.by === "" ? listedBefore(markedBy(mark), doc._id) < 0 : this.order(JSON.parse(mark), doc) < 0;
  }

  /** @param {import("../../../web/sync.js").Query} query */
  async list({ limit, filter, after }) {
    if (this.by === "") return super.list({ limit, filter, after });
    this.inFlight += 1;
    const [by, at] = [this.by, Math.max(this.start, this.position - (this.faults ? this.pick(4) : 0))];
    for (let wait = this.pick(4); wait > 0; wait -= 1) await tick();
    const docs = new Map();
    for (const { id, after: doc } of this.history.slice(0, at)) doc ? docs.set(id, doc) : docs.delete(id);
    const mark = after;
    const below = this.listed(docs, filter.status?.[0] ?? null).filter((doc) => this.isBelow(mark, doc));
    const cursor = this.cursor(at);
    for (let wait = this.pick(4); wait > 0; wait -= 1) await tick();
    this.inFlight -= 1;
    if (by !== this.by || (this.faults && this.random() < 0.1))
      throw Object.assign(new Error("Lost."), { late: false });
    const orders = below.slice(0, limit);
    return { orders, cursor, next: below.length > limit ? JSON.stringify(orders.at(-1)) : null };
  }
}

/** @param {number} seed @param {{ foreign: boolean, faults: boolean }} options @param {string} by */
async function run(seed, options, by) {
  const model = new SortedModel(generator(seed), options);
  for (let count = model.pick(60); count > 0; count -= 1) model.write();
  model.by = by;
  const { capacity, store, sync, stream: connection } = copyOf(model);
  const view = (/** @type {string | null} */ status) => ({
    statuses: status === null ? [] : [status],
    customer: "",
    sought: model.by.startsWith("q") ? model.by.slice(1) : "",
    sort: model.by.startsWith("q") ? "" : model.by,
  });
  /** @type {string | null} */
  let status = null;
  sync.begin(view(null));
  void sync.start();
  /** @returns {Promise<void>} */
  const comeToRest = async () => {
    const { start } = store;
    const expected = () =>
      model
        .listed(model.docs, status)
        .filter((doc) => model.isBelow(start, doc))
        .slice(0, Math.max(store.size, store.needed));
    const shown = () => store.ids.map((id) => store.get(id));
    let calm = 0;
    for (let turn = 0; turn < PATIENCE && calm < 12; turn += 1) {
      if (connection()?.open === false) connection()?.connect();
      const moved = connection()?.deliver() ?? true;
      await tick();
      const same = () => JSON.stringify(shown()) === JSON.stringify(expected());
      calm = !moved && model.inFlight === 0 && same() ? calm + 1 : 0;
      if (start !== store.start) {
        await comeToRest(); // all that was below has gone: it is at the top again
        return;
      }
    }
    assert.deepEqual(shown(), expected());
    assert.ok(calm > 0, "it has not come to rest");
  };
  /** The user scrolls, by a little or far away. */
  const look = () => {
    const on = model.random() < 0.5 ? capacity - 1 : model.pick(capacity);
    const first = model.random() < 0.7 ? on : model.pick(60) - 30;
    sync.look(first, first + 1);
    if (model.random() < 0.1) sync.toTop();
  };
  for (let step = 0; step < STEPS; step += 1) {
    const kind = model.random();
    if (kind < 0.55) model.write();
    else if (kind < 0.7) look();
    else if (kind < 0.85) connection()?.deliver();
    else if (kind < 0.88 && connection()) {
      if (!by.startsWith("q")) status = [null, "pending", "shipped"][model.pick(3)] ?? null;
      if (by.startsWith("q") || model.random() < 0.3) model.by = model.by === by ? "" : by;
      if (model.by === "") status = null;
      void sync.filter(view(status));
    } else if (kind < 0.92) connection()?.lose();
    else if (kind < 0.95 && connection()?.open === false) connection()?.connect(model.random() < 0.3);
    else if (kind < 0.96 && options.faults) model.breakHistory();
    else await tick();
    if (store.loaded) assert.ok(store.size <= store.capacity);
    if (model.random() < 0.05) await comeToRest();
  }
  await comeToRest();
}

for (const by of ["customer_name", "-customer_name", "qAd", "q0"]) {
  for (const faults of [false, true]) {
    test(`${RUNS} runs end in the orders of the list by ${by}${faults ? ", with ids of any type, lost requests and lagging servers" : ""}`, async () => {
      for (let seed = 1; seed <= RUNS; seed += 1) {
        await run(seed, { foreign: faults, faults }, by).catch((error) => {
          throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
        });
      }
    });
  }
}

const id = (/** @type {number} */ n) => n.toString(16).padStart(24, "0");

test("texts are sorted as their bytes are, and what has no place that is known here has none", () => {
  const ordering = sortedBy("customer_name");
  const rank = (/** @type {unknown} */ name, n = 1) => ordering.rankOf(id(n), { customer_name: name });
  const sorted = NAMES.toSorted((one, other) =>
    compare(ordering, /** @type {any} */ (rank(one)), /** @type {any} */ (rank(other))),
  );
  assert.deepEqual(
    sorted,
    NAMES.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
  );
  for (const other of [5, null, undefined, ["Ada"], "2026-01-01T00:00:00.000Z"]) assert.equal(rank(other), null);
  assert.equal(ordering.rankOf("text", { customer_name: "Ada" }), null);
  assert.equal(sortedBy("updated_at").rankOf(id(1), { updated_at: "yesterday" }), null);
  assert.notEqual(sortedBy("-updated_at").rankOf(id(1), { updated_at: "2026-01-01T00:00:00.000Z" }), null);
});

/** @param {string[]} names of customers; what is no text is a number @param {string | null} next */
function listingOf(names, next, ordering = sortedBy("customer_name")) {
  const listing = new SortedListing(ordering);
  const orders = names.map((name, n) => ({ _id: id(n + 1), customer_name: name === "" ? n : name }));
  const ids = orders.map(({ _id }) => _id);
  const last = orders.at(-1) ?? null;
  listing.append(ids, last && { id: last._id, order: last }, next, null, (each) => orders[ids.indexOf(each)] ?? null);
  const at = (/** @type {number} */ n) => ({
    above: n,
    from: `below ${n}`,
    place: ordering.rankOf(id(n), /** @type {any} */ (orders[n - 1])),
  });
  return { listing, at };
}

test("the first orders are forgotten down to a place that the server has given, if it is certain which are above it", () => {
  const { listing, at } = listingOf(["a", "b", "c", "", "d", "e"], "next");
  assert.deepEqual(listing.cutTop(6, []), [], "no place is known");
  assert.deepEqual(listing.cutTop(2, [at(3), at(5)]), [], "too many would go");
  assert.deepEqual(listing.cutTop(4, [at(3)]), [], "who knows where the number is");
  assert.deepEqual(listing.cutTop(4, [at(1), at(2), at(3)]), [id(1), id(2)]);
  assert.deepEqual([listing.from, listing.ids], ["below 2", [3, 4, 5, 6].map(id)]);
  const placeOf = (/** @type {string} */ name) => listing.place(id(9), { customer_name: name });
  assert.deepEqual(["a", "b", "bb", "f"].map(placeOf), ["outside", 0, 0, "outside"], "above, at, below, beyond");
  assert.deepEqual(listing.cutTop(9, [at(1), at(5)]), [3, 4, 5].map(id), "it is between others that have a place");
});

test("where no place is known, one is asked for, with some orders to spare, and again after one has been elsewhere", () => {
  const store = new OrderStore(20, 10, 20, 4);
  const order = (/** @type {number} */ n) => ({ _id: id(n), customer_name: `Customer ${n + 100}` });
  const page = (/** @type {number} */ count, /** @type {string | null} */ next) => ({
    orders: Array.from({ length: count }, (_, n) => order(n)),
    cursor: "e.1-0",
    next,
  });
  store.filter(null, sortedBy("customer_name"));
  store.load(page(30, "below 30"));
  store.look(16, 18);
  assert.deepEqual(store.missing, { after: null, limit: 10, isPlace: true });
  store.enter(page(10, null), { after: null, limit: 10, isPlace: true });
  assert.equal(store.missing, null, "it was of no use");
  store.look(0, 2);
  store.look(16, 18);
  assert.deepEqual(store.missing, { after: null, limit: 10, isPlace: true });
  store.apply({ operation: "DELETE", id: id(11), data: null, cursor: "e.2-0", at: "" });
  store.enter(page(10, "below 10"), { after: null, limit: 10, isPlace: true });
  store.look(15, 17);
  assert.deepEqual([store.start, store.above, store.ids[0]], ["below 10", 10, id(10)]);
  assert.equal(store.size, 19, "and what is below is kept");
});

test("a text that is too long for a mark is no place to enter the list at", () => {
  const found = (/** @type {string} */ name) => listingOf([name], "next").listing.end;
  assert.equal(found("x".repeat(201)), null);
  assert.deepEqual(found("x".repeat(200))?.from, "next");
  assert.equal(listingOf(["x"], null).listing.end, null, "it ends there");
});

test("below a place, an order that only the server can place is asked for, even where there are none", () => {
  const listing = new SortedListing(sortedBy("customer_name"), "below", { part: 0, key: "b", id: id(1) });
  listing.append([], null, null, null, () => null);
  assert.equal(listing.place(id(2), { customer_name: 5 }), "unknown");
  assert.equal(listing.place(id(2), { customer_name: "b" }), 0, "by its id");
  assert.equal(listing.place(id(1), { customer_name: "b" }), "outside", "it is what the list is below");
});

test("an order is found by the beginning of its id, its customer or its product, whichever comes first", () => {
  const order = { customer_name: "0-day", product_name: "Lamp" };
  assert.equal(partOf("0", id(1), order), 0);
  assert.equal(partOf("0-", id(1), order), 2);
  assert.equal(partOf("La", id(1), order), 3);
  assert.equal(partOf("la", id(1), order), null);
  assert.equal(partOf("order/", "order/1", {}), 1);
  assert.equal(partOf("5", "~i5", {}), null);
  assert.equal(foundBy("La").rankOf(id(1), order)?.part, 3);
});

test("a view has only what the API has together, and loses what it refuses", () => {
  assert.deepEqual(viewIn("?q=Ad&status=pending&sort=status"), { ...EVERYTHING, sought: "Ad" });
  assert.deepEqual(viewIn("?sort=product_name&status=pending"), { ...EVERYTHING, statuses: ["pending"] });
  assert.equal(viewIn("?sort=-product_name&customer=Ada").sort, "-product_name");
  assert.equal(viewIn("?sort=price").sort, "");
  assert.equal(fitting({ ...EVERYTHING, statuses: ["pending"], customer: "Ada", sort: "-updated_at" }).sort, "");
  assert.equal(canSort("_id", { ...EVERYTHING, statuses: ["pending"], customer: "Ada" }), true);
  const view = { ...EVERYTHING, statuses: ["pending"], sort: "status" };
  assert.deepEqual(without(view, ["status"]), { ...EVERYTHING, sort: "status" });
  assert.equal(without(view, ["limit"]), null);
});
