/** Changes are described in words, whatever the documents hold. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { describe } from "../../../web/description.js";
import { idOf, isObjectId, looksTheSame, nameOf, shortId, textOf } from "../../../web/order.js";

const ID = "65a1b2c3d4e5f60718293a4b";
const ORDER = { _id: ID, customer_name: "Ada", product_name: "Laptop", status: "pending" };

/**
 * @param {"INSERT" | "UPDATE" | "DELETE"} operation
 * @param {object | null} data
 * @param {object | null} [before]
 */
function told(operation, data, before = null, more = {}) {
  const envelope = { operation, id: ID, data, cursor: "e.1-0", at: "2026-01-01T00:00:00.000Z", ...more };
  const { kind, title, detail } = describe(envelope, before);
  return `${kind}: ${title}: ${detail}`;
}

test("an insert tells the status", () => assert.equal(told("INSERT", ORDER), "insert: Ada · Laptop: pending"));

test("an update of the status tells from what to what", () => {
  assert.equal(told("UPDATE", { ...ORDER, status: "shipped" }, ORDER), "update: Ada · Laptop: pending → shipped");
});

test("an update of several fields names each", () => {
  const after = { ...ORDER, customer_name: "Grace", status: "shipped" };
  assert.equal(told("UPDATE", after, ORDER), "update: Grace · Laptop: status pending → shipped, customer Ada → Grace");
});

test("an update of an order not seen before tells what it is now", () => {
  assert.equal(told("UPDATE", ORDER), "update: Ada · Laptop: now pending");
});

test("a delete without the document tells what the page knew of it", () => {
  assert.equal(told("DELETE", null, ORDER), "delete: Ada · Laptop: was pending");
  assert.equal(told("DELETE", null), "delete: Order …293a4b: ");
});

test("an order that left the filter was not deleted", () => {
  assert.match(told("DELETE", null, ORDER, { left: true }), /^left: Ada · Laptop: no longer/);
});

test("any value becomes a short text", () => {
  const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
  assert.deepEqual(
    [null, undefined, 0, false, "", { a: [1] }].map((value) => textOf(value)),
    ["", "", "0", "false", "", '{"a":[1]}'],
  );
  assert.equal(textOf("x".repeat(1e6)).length, 160);
  assert.ok(textOf(deep).length <= 160);
});

test("orders that read the same are the same to a row", () => {
  assert.ok(looksTheSame(ORDER, { ...ORDER, note: "not shown" }));
  assert.ok(!looksTheSame(ORDER, { ...ORDER, status: "shipped" }));
});

test("an id is the text that the server gives, whatever it is the text of", () => {
  assert.equal(idOf({ _id: "~i7" }), "~i7");
  assert.equal(idOf({ _id: 7 }), null);
  assert.equal(idOf({}), null);
  assert.equal(shortId(ID), "…293a4b");
  assert.ok(isObjectId(ID));
  assert.ok(!isObjectId("7") && !isObjectId(ID.toUpperCase()));
});

test("names of any direction are isolated from what follows, and plain ones are left as they are", () => {
  assert.equal(nameOf({ customer_name: "Ada", product_name: "Lamp" }), "Ada · Lamp");
  assert.equal(nameOf({ customer_name: "שלום", product_name: "Lamp" }), "\u2068שלום\u2069 · Lamp");
  assert.equal(
    nameOf({ customer_name: "\u2069\u202ex", product_name: "\u2066y" }),
    "\u2068\u202ex\u2069 · \u2068y\u2069",
  );
});
