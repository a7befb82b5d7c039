// Uses the adapters of the packed library with the published packages, against a gateway; says "ok", or what is wrong.
import assert from "node:assert/strict";
import { createCollection, createLiveQueryCollection, eq } from "@tanstack/db";
import { Window } from "happy-dom";
import { liveOrders, Refused } from "live-orders";
import { ordersCollectionOptions } from "live-orders/tanstack";

const url = process.argv[2];
const other = liveOrders(url); // another program

/** @param {() => unknown} seen */
async function until(seen, what) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((done) => setTimeout(done, 20))) {
    if (seen()) return;
  }
  assert.fail(`not seen: ${what}`);
}

async function tanstack() {
  const before = await other.create({ customer_name: "Ada", product_name: "Engine" });
  const orders = liveOrders(url);
  const collection = createCollection(ordersCollectionOptions({ orders }));
  const pending = createLiveQueryCollection((query) =>
    query.from({ order: collection }).where(({ order }) => eq(order.status, "pending")),
  );
  await pending.preload();
  assert.deepEqual([...pending.keys()], [before._id]);

  const second = await other.create({ customer_name: "Bob", product_name: "Cards" });
  await until(() => pending.has(second._id), "an order of another program");
  await other.update(second._id, { status: "shipped" });
  await until(() => !pending.has(second._id), "an order that leaves the query");

  const seen = [];
  collection.subscribeChanges((changes) => seen.push(...changes.map(({ value }) => value.product_name)));
  const change = collection.update(before._id, (draft) => void (draft.product_name = "Difference engine"));
  assert.equal(collection.get(before._id).product_name, "Difference engine"); // at once
  await change.isPersisted.promise;
  assert.equal(collection.get(before._id).product_name, "Difference engine");
  assert.ok(!seen.includes("Engine"), "the former value never flickered");

  const refused = collection.update(before._id, (draft) => void (draft.status = "lost"));
  await assert.rejects(refused.isPersisted.promise, Refused);
  assert.equal(collection.get(before._id).status, "pending"); // rolled back

  const added = collection.insert({ _id: "temporary", customer_name: "Eve", product_name: "Apple", status: "pending" });
  assert.ok(collection.has("temporary"));
  await added.isPersisted.promise;
  await until(() => !collection.has("temporary"), "the temporary row has gone");
  assert.equal([...collection.values()].filter((order) => order.customer_name === "Eve").length, 1);

  await collection.delete(second._id).isPersisted.promise;
  assert.ok(!collection.has(second._id));
  orders.close();
}

async function tanstackWindow() {
  const orders = liveOrders(url, { window: { sort: "customer_name", limit: 2 } });
  const collection = createCollection(ordersCollectionOptions({ orders, id: "window" }));
  await collection.preload();
  const names = () => [...collection.values()].map((order) => order.customer_name).sort();
  const made = [];
  for (const customer_name of ["A3", "A2", "A1"])
    made.push(await other.create({ customer_name, product_name: "Cards" }));
  await until(() => String(names()) === "A1,A2", "the first two");
  await other.delete(made[2]._id);
  await until(() => String(names()) === "A2,A3", "the next one comes in");
  await other.update(made[0]._id, { customer_name: "A1" });
  await until(() => String(names()) === "A1,A2", "an update in place");
  orders.close();
}

async function react() {
  const window = new Window();
  for (const [name, value] of Object.entries({ window, document: window.document, navigator: window.navigator })) {
    Object.defineProperty(globalThis, name, { value, configurable: true }); // some versions of Node have a navigator
  }
  const { createElement } = await import("react");
  const { createRoot } = await import("react-dom/client");
  const { Pending, storeOfPending } = await import("./react.mjs");
  const orders = liveOrders(url, { filter: { status: "pending" } });
  const root = window.document.createElement("div");
  createRoot(root).render(createElement(Pending, { store: storeOfPending(orders) }));
  await until(() => root.querySelector("[data-phase=live]"), "the list is live");
  const order = await other.create({ customer_name: "Grace", product_name: "Compiler" });
  await until(() => root.textContent.includes("Grace"), "a new order in the list");
  await other.update(order._id, { status: "delivered" });
  await until(() => !root.textContent.includes("Grace"), "it has left the list");
  orders.close();
}

await tanstack();
await tanstackWindow();
await react();
other.close();
console.log("ok");
process.exit(0);
