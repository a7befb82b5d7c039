/** Text is readable on every background, in light and dark mode, also while a row flashes. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const CSS = readFileSync(new URL("../../../web/style.css", import.meta.url), "utf8");
const COLOUR = /--([\w-]+):\s*light-dark\((#[0-9a-f]+),\s*(#[0-9a-f]+)\)/g;
/** @type {Map<string, string[]>} */
const COLOURS = new Map([...CSS.matchAll(COLOUR)].map(([, name = "", light = "", dark = ""]) => [name, [light, dark]]));

const GROUNDS = ["card", "paper", "sunken", "green-wash", "amber-wash", "blue-wash", "red-wash"];
const INKS = ["ink", "ink-soft", "ink-faint"];
const PAIRS = [
  ...GROUNDS.flatMap((ground) => INKS.map((ink) => [ink, ground])),
  ...["green", "amber", "blue", "red"].flatMap((ink) => [
    [ink, `${ink}-wash`],
    [ink, "card"],
  ]),
  ["primary-ink", "primary"],
  ["ink-soft", "line"],
];

for (const [scheme, index] of [
  ["light", 0],
  ["dark", 1],
]) {
  for (const [ink = "", ground = ""] of PAIRS) {
    test(`${ink} on ${ground} has a contrast of 4.5 in the ${scheme}`, () => {
      const contrast = contrastOf(colour(ink, Number(index)), colour(ground, Number(index)));
      assert.ok(contrast >= 4.5, contrast.toFixed(2));
    });
  }
}

/** @param {string} name @param {number} index */
function colour(name, index) {
  const found = COLOURS.get(name)?.[index];
  assert.ok(found, `style.css has no --${name}`);
  return found;
}

/** @param {string} one @param {string} other */
function contrastOf(one, other) {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** WCAG 2.2, relative luminance. @param {string} hex */
function luminance(hex) {
  const long = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
  const [r = 0, g = 0, b = 0] = [0, 2, 4]
    .map((at) => parseInt(long.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
