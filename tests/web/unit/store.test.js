/** The store reaches the database's state from any snapshot and any order of arrival. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { OrderStore } from "../../../web/store.js";

const EPOCH = "e1";

/** @param {number} n */
const id = (n) => n.toString(16).padStart(24, "0");
/** @param {number} n */
const at = (n, epoch = EPOCH) => `${epoch}.${n}-0`;

/**
 * @param {string} operation
 * @param {number} position
 * @param {number} order
 * @param {object | null} [data]
 */
function change(operation, position, order, data = { _id: id(order), status: `at ${position}` }) {
  const kept = operation === "DELETE" ? null : data;
  return { operation, id: id(order), data: kept, cursor: at(position), at: "2026-01-01T00:00:00.000Z" };
}

/** @param {OrderStore} store */
const state = (store) => Object.fromEntries(store.ids.map((known) => [known, store.get(known)?.status]));

test("an envelope at or before the snapshot's cursor is ignored", () => {
  const store = new OrderStore();
  store.load([{ _id: id(1), status: "new" }], at(5));
  assert.equal(store.apply(change("UPDATE", 5, 1)), "ignored");
  assert.equal(store.apply(change("DELETE", 4, 1)), "ignored");
  assert.equal(store.get(id(1))?.status, "new");
});

test("positions are compared as the large integers they are", () => {
  const store = new OrderStore();
  const position = 7711109000000000000n; // as numbers, this and its successor are equal
  store.load([], `${EPOCH}.${position}-9`);
  assert.equal(store.apply({ ...change("INSERT", 0, 1), cursor: `${EPOCH}.${position}-10` }), "applied");
  assert.equal(store.apply({ ...change("INSERT", 0, 2), cursor: `${EPOCH}.${position + 1n}-0` }), "applied");
  assert.equal(store.cursor, `${EPOCH}.${position + 1n}-0`);
});

test("a change without its order asks for the order, and moves the position", () => {
  const store = new OrderStore();
  store.load([{ _id: id(1), status: "pending" }], at(1));
  assert.equal(store.apply(change("UPDATE", 2, 1, null)), "incomplete");
  assert.equal(store.get(id(1))?.status, "pending");
  assert.equal(store.cursor, at(2));
});

test("an order that leaves the filter goes as a deleted one does", () => {
  const store = new OrderStore();
  store.load([{ _id: id(1), status: "pending" }], at(1));
  store.apply({ ...change("DELETE", 2, 1), left: true });
  assert.equal(store.size, 0);
});

test("a change to an order that does not pass the filter takes it out, whatever the server thinks", () => {
  const store = new OrderStore();
  store.filter((order) => order.status === "pending");
  store.load(
    [
      { _id: id(1), status: "pending" },
      { _id: id(2), status: "shipped" },
    ],
    at(1),
  );
  assert.deepEqual(store.ids, [id(1)]);
  assert.equal(store.apply(change("UPDATE", 2, 1, { _id: id(1), status: "shipped" })), "applied");
  assert.equal(store.apply(change("UPDATE", 3, 2, { _id: id(2), status: "delivered" })), "ignored");
  assert.equal(store.size, 0);
});

test("a late change does not bring a deleted order back", () => {
  const store = new OrderStore();
  store.load([{ _id: id(1) }], at(1));
  store.apply(change("DELETE", 3, 1));
  assert.equal(store.apply(change("UPDATE", 2, 1)), "ignored");
  assert.equal(store.size, 0);
});

test("what changes while a snapshot is on its way is put on top of it", () => {
  const store = new OrderStore();
  store.load(
    [
      { _id: id(1), status: "old" },
      { _id: id(2), status: "old" },
    ],
    at(1),
  );
  store.expectSnapshot();
  store.apply(change("UPDATE", 2, 1));
  store.apply(change("DELETE", 4, 2));
  store.apply(change("INSERT", 5, 3));
  assert.equal(
    store.load(
      [
        { _id: id(1), status: "at 3" },
        { _id: id(2), status: "at 3" },
      ],
      at(3),
    ),
    true,
  );
  assert.deepEqual(state(store), { [id(3)]: "at 5", [id(1)]: "at 3" });
  assert.equal(store.cursor, at(5));
});

test("a change in another epoch is refused, and a snapshot that it overtook has to be fetched again", () => {
  const store = new OrderStore();
  store.load([], at(9));
  store.expectSnapshot();
  const news = { ...change("INSERT", 1, 1), cursor: at(1, "e2") };
  assert.equal(store.apply(news), "other epoch");
  assert.equal(store.load([], at(9)), false);
  assert.equal(store.load([{ _id: id(1) }], at(2, "e2")), true);
  assert.equal(store.cursor, at(2, "e2"));
});

test("a snapshot that is older than what was known when it was asked for has to be fetched again", () => {
  const store = new OrderStore();
  store.load([], at(1));
  store.apply(change("INSERT", 5, 1));
  store.expectSnapshot();
  assert.equal(store.load([], at(4)), false);
  store.expectSnapshot();
  assert.equal(store.load([{ _id: id(1) }], at(5)), true);
});

test("without a cursor on the list, changes are upserts", () => {
  const store = new OrderStore();
  store.expectSnapshot();
  store.apply(change("INSERT", 3, 2));
  store.load([{ _id: id(1), status: "listed" }], null);
  assert.deepEqual(state(store), { [id(2)]: "at 3", [id(1)]: "listed" });
  assert.equal(store.apply(change("UPDATE", 4, 1)), "applied");
});

test("only the newest orders are kept, and the store says that there are more", () => {
  const store = new OrderStore(3);
  store.load(
    [1, 2, 3].map((n) => ({ _id: id(n) })),
    at(1),
  );
  assert.equal(store.complete, true);
  store.apply(change("INSERT", 2, 4));
  assert.deepEqual(store.ids, [id(4), id(3), id(2)]);
  assert.equal(store.complete, false);
});

test("documents of any shape are kept, and what is no document is passed over", () => {
  const store = new OrderStore();
  store.load([null, 7, "text", [], {}, { _id: 5 }, { _id: null }, { _id: { b: 1, a: 2 } }], at(1));
  assert.deepEqual([...store.ids].sort(), ["5", "null", '{"a":2,"b":1}']);
});

test("a mark moves the position on, never back and never into another epoch", () => {
  const store = new OrderStore();
  store.load([], at(5));
  for (const mark of [at(4), at(99, "e2"), "nonsense"]) store.reached(mark);
  assert.equal(store.cursor, at(5));
  store.reached(at(7));
  assert.equal(store.cursor, at(7));
});

test("listeners hear each change once, with the order as it was", () => {
  const store = new OrderStore();
  /** @type {unknown[]} */
  const heard = [];
  store.load([{ _id: id(1), status: "pending" }], at(1));
  store.listen((event) => heard.push(event.kind === "change" ? event.before?.status : event.kind));
  store.apply(change("UPDATE", 2, 1));
  store.apply(change("UPDATE", 2, 1));
  assert.deepEqual(heard, ["pending"]);
});

test("any snapshot with any later changes, repeated and out of order, gives the state of the database", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = generator(seed);
    const history = makeHistory(random, 40);
    const cut = Math.floor(random() * history.length);
    const store = new OrderStore();
    store.expectSnapshot();
    const early = history.slice(Math.floor(random() * cut), cut + 5);
    for (const envelope of shuffled(early, random)) store.apply(envelope);
    store.load(
      Object.entries(replay(history.slice(0, cut))).map(([_id, status]) => ({ _id, status })),
      at(cut),
    );
    assert.deepEqual(state(store), replay(history.slice(0, cut + 5)), `seed ${seed}`);
    const rest = history.slice(Math.floor(random() * cut));
    for (const envelope of shuffled([...rest, ...rest.slice(0, 9)], random)) store.apply(envelope);
    assert.deepEqual(state(store), replay(history), `seed ${seed}`);
    assert.equal(store.cursor, at(history.length), `seed ${seed}`);
  }
});

/** @param {() => number} random @param {number} length */
function makeHistory(random, length) {
  const alive = new Set();
  return Array.from({ length }, (_, index) => {
    const order = Math.floor(random() * 8);
    const operation = !alive.has(order) ? "INSERT" : random() < 0.3 ? "DELETE" : "UPDATE";
    if (operation === "DELETE") alive.delete(order);
    else alive.add(order);
    return change(operation, index + 1, order);
  });
}

/** @param {ReturnType<typeof change>[]} history */
function replay(history) {
  /** @type {Record<string, string>} */
  const database = {};
  for (const { id: changed, data } of history) {
    if (data) database[changed] = data.status;
    else delete database[changed];
  }
  return database;
}

/** @template T @param {T[]} items @param {() => number} random @returns {T[]} */
function shuffled(items, random) {
  return items
    .map((item) => ({ item, key: random() }))
    .sort((one, other) => one.key - other.key)
    .map(({ item }) => item);
}

/** A small generator of numbers in [0, 1), so that a failure can be repeated. @param {number} seed */
function generator(seed) {
  let state32 = seed;
  return () => {
    state32 = (state32 * 1664525 + 1013904223) >>> 0;
    return state32 / 2 ** 32;
  };
}

test("an order fetched by its id is put in as it was then, and says nothing about the others", () => {
  const store = new OrderStore();
  store.load([{ _id: id(1), status: "pending" }], at(1));
  store.apply(change("UPDATE", 2, 1, null));
  store.amend(id(1), { _id: id(1), status: "fetched" }, at(9));
  assert.equal(store.get(id(1))?.status, "fetched");
  assert.equal(store.cursor, at(2));
  assert.equal(store.apply(change("UPDATE", 8, 1)), "ignored", "it is in the fetched order already");
  assert.equal(store.apply(change("INSERT", 3, 2)), "applied");
  assert.equal(store.apply(change("UPDATE", 10, 1)), "applied");
});

test("an order that is found to have gone is taken out, and one that is older than what is known is not put in", () => {
  const store = new OrderStore();
  store.load([{ _id: id(1) }, { _id: id(2), status: "pending" }], at(1));
  store.amend(id(1), null, null);
  assert.deepEqual(store.ids, [id(2)]);
  store.apply(change("UPDATE", 5, 2));
  store.amend(id(2), { _id: id(2), status: "older" }, at(4));
  assert.equal(store.get(id(2))?.status, "at 5");
});

test("a snapshot on top of which an order is missing has to be fetched again", () => {
  const store = new OrderStore();
  store.expectSnapshot();
  store.apply(change("INSERT", 5, 1, null));
  assert.equal(store.load([], at(4)), false);
});
