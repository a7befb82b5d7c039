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

/** @param {OrderStore} store @param {readonly unknown[]} orders @param {string | null} cursor @param {string | null} [next] */
const load = (store, orders, cursor, next = null) => store.load({ orders, cursor, next });

/** @param {OrderStore} store */
const state = (store) => Object.fromEntries(store.ids.map((known) => [known, store.get(known)?.status]));

test("an envelope at or before the snapshot's cursor is ignored", () => {
  const store = new OrderStore();
  load(store, [{ _id: id(1), status: "new" }], at(5));
  assert.equal(store.apply(change("UPDATE", 5, 1)), "ignored");
  assert.equal(store.apply(change("DELETE", 4, 1)), "ignored");
  assert.equal(store.get(id(1))?.status, "new");
});

test("positions are compared as the large integers they are", () => {
  const store = new OrderStore();
  const position = 7711109000000000000n; // as numbers, this and its successor are equal
  load(store, [], `${EPOCH}.${position}-9`);
  assert.equal(store.apply({ ...change("INSERT", 0, 1), cursor: `${EPOCH}.${position}-10` }), "applied");
  assert.equal(store.apply({ ...change("INSERT", 0, 2), cursor: `${EPOCH}.${position + 1n}-0` }), "applied");
  assert.equal(store.cursor, `${EPOCH}.${position + 1n}-0`);
});

test("a change without its order asks for the order, and moves the position", () => {
  const store = new OrderStore();
  load(store, [{ _id: id(1), status: "pending" }], at(1));
  assert.equal(store.apply(change("UPDATE", 2, 1, null)), "incomplete");
  assert.equal(store.get(id(1))?.status, "pending");
  assert.equal(store.cursor, at(2));
});

test("an order that leaves the filter goes as a deleted one does", () => {
  const store = new OrderStore();
  load(store, [{ _id: id(1), status: "pending" }], at(1));
  store.apply({ ...change("DELETE", 2, 1), left: true });
  assert.equal(store.size, 0);
});

test("a change to an order that does not pass the filter takes it out, whatever the server thinks", () => {
  const store = new OrderStore();
  store.filter((order) => order.status === "pending");
  load(
    store,
    [
      { _id: id(1), status: "pending" },
      { _id: id(2), status: "shipped" },
    ],
    at(1),
  );
  assert.deepEqual(store.ids, [id(1)]);
  assert.equal(store.apply(change("UPDATE", 2, 1, { _id: id(1), status: "shipped" })), "applied");
  assert.equal(store.apply(change("UPDATE", 3, 2, { _id: id(2), status: "delivered" })), "elsewhere");
  assert.equal(store.size, 0);
});

test("a late change does not bring a deleted order back", () => {
  const store = new OrderStore();
  load(store, [{ _id: id(1) }], at(1));
  store.apply(change("DELETE", 3, 1));
  assert.equal(store.apply(change("UPDATE", 2, 1)), "ignored");
  assert.equal(store.size, 0);
});

test("changes that arrive while a snapshot is being fetched are applied on top of it", () => {
  const store = new OrderStore();
  load(
    store,
    [
      { _id: id(1), status: "old" },
      { _id: id(2), status: "old" },
    ],
    at(1),
  );
  store.expect();
  store.apply(change("UPDATE", 2, 1));
  store.apply(change("DELETE", 4, 2));
  store.apply(change("INSERT", 5, 3));
  assert.equal(
    load(
      store,
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
  load(store, [], at(9));
  store.expect();
  const news = { ...change("INSERT", 1, 1), cursor: at(1, "e2") };
  assert.equal(store.apply(news), "other epoch");
  assert.equal(load(store, [], at(9)), false);
  assert.equal(load(store, [{ _id: id(1) }], at(2, "e2")), true);
  assert.equal(store.cursor, at(2, "e2"));
});

test("a snapshot that is older than what was known when it was asked for has to be fetched again", () => {
  const store = new OrderStore();
  load(store, [], at(1));
  store.apply(change("INSERT", 5, 1));
  store.expect();
  assert.equal(load(store, [], at(4)), false);
  store.expect();
  assert.equal(load(store, [{ _id: id(1) }], at(5)), true);
});

test("without a cursor on the list, changes are upserts", () => {
  const store = new OrderStore();
  store.expect();
  store.apply(change("INSERT", 3, 2));
  load(store, [{ _id: id(1), status: "listed" }], null);
  assert.deepEqual(state(store), { [id(2)]: "at 3", [id(1)]: "listed" });
  assert.equal(store.apply(change("UPDATE", 4, 1)), "applied");
});

test("only the newest orders are shown, and the store says that there are more", () => {
  const store = new OrderStore(3, 0);
  load(
    store,
    [3, 2, 1].map((n) => ({ _id: id(n) })),
    at(1),
  );
  assert.equal(store.complete, true);
  store.apply(change("INSERT", 2, 4));
  assert.deepEqual(store.ids, [id(4), id(3), id(2)]);
  assert.equal(store.complete, false);
});

test("documents of any shape are kept, and other values are skipped", () => {
  const store = new OrderStore();
  load(store, [null, 7, "text", [], {}, { _id: 5 }, { _id: "an id" }, { _id: "~i5", status: { a: [1] } }], at(1));
  assert.deepEqual(store.ids, ["an id", "~i5"], "in the order in which they are listed");
});

test("a mark moves the position on, never back and never into another epoch", () => {
  const store = new OrderStore();
  load(store, [], at(5));
  for (const mark of [at(4), at(99, "e2"), "nonsense"]) store.reached(mark);
  assert.equal(store.cursor, at(5));
  store.reached(at(7));
  assert.equal(store.cursor, at(7));
});

test("listeners hear each change once, with the order as it was", () => {
  const store = new OrderStore();
  /** @type {unknown[]} */
  const heard = [];
  load(store, [{ _id: id(1), status: "pending" }], at(1));
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
    store.expect();
    const early = history.slice(Math.floor(random() * cut), cut + 5);
    for (const envelope of shuffled(early, random)) store.apply(envelope);
    load(
      store,
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
  load(store, [{ _id: id(1), status: "pending" }], at(1));
  store.apply(change("UPDATE", 2, 1, null));
  store.amend(change("UPDATE", 2, 1, null), { _id: id(1), status: "fetched" }, at(9));
  assert.equal(store.get(id(1))?.status, "fetched");
  assert.equal(store.cursor, at(2));
  assert.equal(store.apply(change("UPDATE", 8, 1)), "ignored", "it is in the fetched order already");
  assert.equal(store.apply(change("INSERT", 3, 2)), "applied");
  assert.equal(store.apply(change("UPDATE", 10, 1)), "applied");
});

test("an order that is found to have gone is taken out, and one that is older than what is known is not put in", () => {
  const store = new OrderStore();
  load(store, [{ _id: id(1) }, { _id: id(2), status: "pending" }], at(1));
  store.amend(change("UPDATE", 2, 1, null), null, null);
  assert.deepEqual(store.ids, [id(2)]);
  store.apply(change("UPDATE", 5, 2));
  store.amend(change("UPDATE", 3, 2, null), { _id: id(2), status: "older" }, at(4));
  assert.equal(store.get(id(2))?.status, "at 5");
});

test("a snapshot on top of which an order is missing has to be fetched again", () => {
  const store = new OrderStore();
  store.expect();
  store.apply(change("INSERT", 5, 1, null));
  assert.equal(load(store, [], at(4)), false);
});

test("a change of an order below the newest ones has no effect, and is no deletion", () => {
  const store = new OrderStore(2, 0);
  load(store, [{ _id: id(9) }, { _id: id(8) }], at(1), id(8));
  /** @type {string[]} */
  const effects = [];
  store.listen((event) => effects.push(event.kind === "change" ? event.effect : event.kind));
  store.apply(change("UPDATE", 2, 3));
  store.apply(change("INSERT", 3, 4));
  store.apply(change("DELETE", 4, 3));
  assert.deepEqual(effects, ["none", "none", "none"]);
  assert.deepEqual(store.ids, [id(9), id(8)]);
});

test("an order that is pushed out by newer ones is dropped, and changes of it are none of the newest", () => {
  const store = new OrderStore(2, 0);
  load(store, [{ _id: id(2) }, { _id: id(1) }], at(1));
  store.apply(change("INSERT", 2, 3));
  assert.deepEqual(store.ids, [id(3), id(2)]);
  assert.equal(store.get(id(1)), null);
  store.apply(change("UPDATE", 3, 1));
  assert.deepEqual(store.ids, [id(3), id(2)]);
});

test("a gap is asked for below the bound, and a page fills it as of when it was read", () => {
  const store = new OrderStore(2, 1);
  load(store, [{ _id: id(9) }, { _id: id(8) }], at(1), id(8));
  assert.equal(store.missing, null);
  store.apply(change("DELETE", 2, 8));
  assert.deepEqual(store.missing, { after: id(8), limit: 2 });
  store.expect();
  store.apply(change("UPDATE", 4, 5)); // below, and newer than the page that is being fetched
  const page = [
    { _id: id(7), status: "listed" },
    { _id: id(5), status: "listed" },
  ];
  assert.equal(store.fill({ orders: page, cursor: at(3), next: id(5) }, id(8)), true);
  store.apply(change("UPDATE", 3, 7)); // is in the page already
  assert.deepEqual(state(store), { [id(9)]: undefined, [id(7)]: "listed" });
  store.apply(change("DELETE", 5, 9));
  assert.deepEqual(state(store), { [id(7)]: "listed", [id(5)]: "at 4" }, "the reserve needs no request");
});

test("a page that is older than what was heard, or begins elsewhere, fills nothing", () => {
  const store = new OrderStore(2, 0);
  load(store, [{ _id: id(9) }, { _id: id(8) }], at(5), id(8));
  store.apply(change("DELETE", 6, 8));
  store.expect();
  assert.equal(store.fill({ orders: [{ _id: id(7) }], cursor: at(5), next: null }, id(8)), false);
  assert.equal(store.fill({ orders: [{ _id: id(7) }], cursor: at(7), next: null }, id(7)), false);
  assert.deepEqual(store.ids, [id(9)]);
});

test("for the place of an order with another kind of id, the list is fetched", () => {
  const store = new OrderStore(3, 0);
  load(store, [{ _id: id(9) }, { _id: "text" }], at(1));
  store.apply({ ...change("INSERT", 2, 1), id: "another", data: { _id: "another" } });
  assert.deepEqual(store.missing, { after: null, limit: 3 });
  load(store, [{ _id: id(9) }, { _id: "text" }, { _id: "another" }], at(2));
  assert.equal(store.missing, null);
  store.apply({ ...change("UPDATE", 3, 1), id: "another", data: { _id: "another", status: "shipped" } });
  assert.equal(store.missing, null, "one whose place is known needs no list");
  assert.equal(store.get("another")?.status, "shipped");
});

test("an order that is new and changed while the list is being fetched still counts as new", () => {
  const store = new OrderStore(3, 0);
  load(store, [{ _id: id(9) }, { _id: "text" }], at(1));
  store.expect();
  for (const [operation, position] of [
    ["INSERT", 3],
    ["UPDATE", 4],
  ]) {
    store.apply({ ...change(String(operation), Number(position), 1), id: "another", data: { _id: "another" } });
  }
  load(store, [{ _id: id(9) }, { _id: "text" }], at(2));
  assert.deepEqual(store.missing, { after: null, limit: 3 }, "its place is still to be asked for");
});

test("after another filter was chosen, a list has to be as new as the changes received through the previous one", () => {
  const store = new OrderStore(3, 0);
  load(store, [], at(1));
  store.expect();
  store.reached(at(5)); // changes up to here did not match the previous filter, and are not sent again
  store.filter((order) => order.status === "shipped");
  store.expect();
  assert.equal(load(store, [], at(4)), false);
  assert.equal(load(store, [], at(5)), true);
});
