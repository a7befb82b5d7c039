/** The figures of the live strip: of the last minute only, in memory that does not grow. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Minute } from "../../../web/minute.js";

test("the median and the 99th percentile are right to a twentieth", () => {
  const minute = new Minute(0);
  for (let late = 1; late <= 1000; late += 1) minute.note(late, 30_000 + late);

  const { median, slowest } = minute.figures(59_999);

  assert.ok(Math.abs((median ?? 0) / 500 - 1) < 0.05, `${median}`);
  assert.ok(Math.abs((slowest ?? 0) / 990 - 1) < 0.05, `${slowest}`);
});

test("each second has its place, and a minute later it is forgotten", () => {
  const minute = new Minute(0);
  for (let second = 0; second < 200; second += 1) {
    for (let each = 0; each < second % 5; each += 1) minute.note(10, second * 1000 + 500);
    const from = Math.max(0, second - 59);
    const expected = Array.from({ length: second - from + 1 }, (_, index) => (from + index) % 5);
    assert.deepEqual(minute.figures(second * 1000 + 999).counts.slice(-expected.length), expected);
  }
  assert.equal(minute.figures(199_999).perSecond, 2);
  const later = minute.figures(300_000);
  assert.deepEqual([later.perSecond, later.median, later.slowest], [0, null, null]);
  assert.ok(later.counts.every((count) => count === 0));
});

test("a clock that differs, or is set back, does no harm", () => {
  const minute = new Minute(10_000);
  minute.note(-5000, 10_000);
  minute.note(1e12, 9000);
  assert.equal(minute.figures(10_500).perSecond, 2);
});
