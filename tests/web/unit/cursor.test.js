/** Cursors are read strictly and compared exactly. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { hasPassed, isAfter, parseCursor, sameEpoch } from "../../../clients/js/src/cursor.js";

/** @param {string} text */
function cursor(text) {
  const parsed = parseCursor(text);
  assert.ok(parsed, text);
  return parsed;
}

test("a cursor is an epoch, a time and an ordinal", () => {
  assert.deepEqual(cursor("a.b.18446744073709551615-3"), { epoch: "a.b", time: 18446744073709551615n, ordinal: 3n });
});

test("a malformed cursor gives null", () => {
  for (const text of ["", "e", "e.1", "e.1-", ".1-1", "e.1-1 ", "e.-1-1", "e.0x1-1", 7, null, undefined, {}]) {
    assert.equal(parseCursor(text), null, String(text));
  }
});

test("the time comes first, then the ordinal, and neither as text", () => {
  assert.ok(isAfter(cursor("e.10-0"), cursor("e.9-9")));
  assert.ok(isAfter(cursor("e.9-10"), cursor("e.9-9")));
  assert.ok(!isAfter(cursor("e.9-9"), cursor("e.9-9")));
  assert.ok(!isAfter(cursor("e.9-8"), cursor("e.9-9")));
});

test("a position has passed itself and those before", () => {
  assert.ok(hasPassed(cursor("e.9-9"), cursor("e.9-9")));
  assert.ok(hasPassed(cursor("e.9-9"), cursor("e.9-8")));
  assert.ok(!hasPassed(cursor("e.9-9"), cursor("e.10-0")));
  assert.ok(!hasPassed(cursor("f.9-9"), cursor("e.9-9")));
  assert.ok(!hasPassed(null, cursor("e.9-9")));
});

test("between epochs there is no order", () => {
  assert.ok(!isAfter(cursor("f.10-0"), cursor("e.9-0")));
  assert.ok(!isAfter(cursor("e.9-0"), cursor("f.10-0")));
  assert.ok(!sameEpoch(cursor("f.1-0"), cursor("e.1-0")));
});
