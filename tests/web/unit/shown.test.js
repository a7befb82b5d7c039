/** The rows of the table: they follow the store, and none in view moves while it must not. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Marks } from "../../../web/marks.js";
import { Pace } from "../../../web/pace.js";
import { Shown } from "../../../web/shown.js";
import { generator } from "./support/model.js";

/** @param {number} n */
const id = (n) => n.toString(16).padStart(24, "0");
const stays = () => false;

/** @param {readonly string[]} ids @param {number} [above] */
const part = (ids, above = 0, moved = false) => ({ ids, above, top: above === 0, moved });

test("what is in view keeps its place while it is frozen, whatever happens to the orders", () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = generator(seed);
    const pick = (/** @type {number} */ below) => Math.floor(random() * below);
    let above = random() < 0.5 ? 0 : 20 + pick(20);
    let ids = Array.from({ length: 40 }, (_, n) => id(1000 - n * 10));
    const shown = new Shown();
    shown.follow(part(ids, above), { first: 0, last: 0, frozen: false }, stays);
    let first = pick(25);
    for (let step = 0; step < 12; step += 1) {
      const before = new Map(
        shown.ids.slice(first, first + 8).map((each, index) => [each, shown.above + first + index]),
      );
      for (let count = pick(4); count > 0; count -= 1) ids = ids.toSpliced(pick(ids.length), 1);
      for (let count = pick(4); count > 0; count -= 1) ids = [...new Set([...ids, id(pick(1100))])].sort().reverse();
      if (above > 0 && random() < 0.2) [ids, above] = [ids.slice(3), above + 3];
      const shift = shown.follow(part(ids, above), { first, last: first + 7, frozen: true }, stays);
      assert.equal(new Set(shown.ids).size, shown.ids.length, `seed ${seed}: none twice`);
      for (const [each, place] of before)
        assert.equal(shown.above + shown.ids.indexOf(each), place + shift, `seed ${seed}: what is in view stays there`);
      const live = shown.ids.filter((each) => ids.includes(each));
      assert.deepEqual(
        live,
        ids.filter((each) => live.includes(each)),
        `seed ${seed}: in the order of the list`,
      );
      first = Math.max(0, Math.min(shown.ids.length - 9, first + shift + pick(5) - 2));
    }
    shown.follow(part(ids, above), { first, last: first + 7, frozen: false }, stays);
    assert.deepEqual(shown.ids, ids, `seed ${seed}`);
  }
});

test("an order that has gone is shown for a moment, where it was", () => {
  const shown = new Shown();
  const free = { first: 0, last: 9, frozen: false };
  shown.follow(part([id(9), id(8), id(7)]), free, stays);
  shown.follow(part([id(10), id(9), id(7)]), free, (each) => each === id(8));
  assert.deepEqual(shown.ids, [id(10), id(9), id(8), id(7)]);
  shown.follow(part([id(10), id(9)]), free, (each) => each === id(7));
  assert.deepEqual(shown.ids, [id(10), id(9), id(7)]);
});

test("where everything in view has gone, it stays, and the orders below go on below it", () => {
  const shown = new Shown();
  shown.follow(part([id(9), id(8), id(7), id(6)]), { first: 0, last: 1, frozen: false }, stays);
  shown.follow(part([id(10), id(6), id(5)]), { first: 0, last: 2, frozen: true }, stays);
  assert.deepEqual(shown.ids, [id(9), id(8), id(7), id(6), id(5)]);
});

test("where everything in view of a sorted list has gone, the orders go on below it, too", () => {
  const ids = ["d", "a", "f", "b", "e", "c"]; // as a name sorts them
  const sorted = (/** @type {readonly string[]} */ there) => ({ ...part(there), sorted: true });
  const shown = new Shown();
  shown.follow(sorted(ids.slice(0, 4)), { first: 0, last: 1, frozen: false }, stays);
  // One looks at the last two that were read; they go, and then the page below comes.
  const view = { first: 2, last: 4, frozen: true };
  shown.follow(sorted(ids.slice(0, 2)), view, stays);
  shown.follow(sorted(["d", "a", "e", "c"]), view, stays);
  assert.deepEqual(shown.ids, ids);
  shown.follow(sorted(["g", "h"]), { first: 0, last: 5, frozen: true }, stays);
  assert.deepEqual(shown.ids, [...ids, "g", "h"]);
});

test("another part of the list replaces what is shown, unless both have orders in view", () => {
  const shown = new Shown();
  shown.follow(part([id(9), id(8), id(7)], 50), { first: 0, last: 1, frozen: false }, stays);
  assert.equal(
    shown.follow(part([id(11), id(10), id(9), id(8)], 0, true), { first: 0, last: 1, frozen: true }, stays),
    -48,
  );
  assert.deepEqual([shown.above, ...shown.ids], [0, id(11), id(10), id(9), id(8)]);
  shown.follow(part([id(3), id(2)], 70, true), { first: 0, last: 1, frozen: true }, stays);
  assert.deepEqual([shown.above, ...shown.ids], [70, id(3), id(2)]);
});

test("whoever looks beyond the end sees what follows the last order next, however many were counted above", () => {
  const shown = new Shown();
  shown.follow(part([id(9), id(8), id(7)], 70), { first: 0, last: 2, frozen: true }, () => false);
  assert.equal(shown.above, 70);
  const beyond = { first: 5, last: 7, frozen: true };
  // Two above have gone, and two were dropped: as many as before are counted.
  shown.follow(part([id(7), id(6), id(5)], 74, true), beyond, () => false);
  assert.deepEqual([shown.above, ...shown.ids], [72, id(7), id(6), id(5)]);
});

test("marks lead to the nearest place above, and are bounded in number", () => {
  const marks = new Marks();
  const add = (/** @type {number} */ above, /** @type {string} */ from) => marks.add({ above, from, place: null });
  for (let above = 100; above <= 300_000; above += 100) add(above, id(400_000 - above));
  assert.equal(marks.before(50), null);
  const mark = marks.before(250_000);
  assert.ok(mark && mark.above <= 250_000 && mark.above > 249_000);
  assert.equal(marks.at(mark.from)?.above, mark.above);
  add(mark.above + 7, mark.from);
  assert.equal(marks.at(mark.from)?.above, mark.above + 7, "what is known of it later counts");
  marks.clear();
  assert.equal(marks.before(250_000), null);
});

test("more than some fifty changes a second are too many to be followed, until they have become fewer", () => {
  const pace = new Pace();
  for (let second = 0; second < 5; second += 1) pace.note(40, second * 1000);
  assert.equal(pace.calm, true);
  for (let tenth = 0; tenth < 20; tenth += 1) pace.note(20, 5000 + tenth * 100);
  assert.equal(pace.calm, false);
  pace.note(0, 9000);
  assert.equal(pace.calm, true);
});
