/** Animations cost the page's own thread nothing: they change only what the compositor changes by itself. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../../web/", import.meta.url);
const KEYFRAMES = /@keyframes ([\w-]+) \{(.*?)\n\}/gs;
const PROPERTY = /^\s*([\w-]+):/gm;
const FREE = new Set(["opacity", "transform"]);

const sheets = readdirSync(WEB).filter((name) => name.endsWith(".css"));
const animations = sheets.flatMap((name) => [...readFileSync(new URL(name, WEB), "utf8").matchAll(KEYFRAMES)]);

for (const [, name = "", frames = ""] of animations) {
  test(`${name} changes opacity and transforms only`, () => {
    const changed = [...frames.matchAll(PROPERTY)].map(([, property = ""]) => property);
    assert.notDeepEqual(changed, []);
    assert.deepEqual(
      changed.filter((property) => !FREE.has(property)),
      [],
    );
  });
}

test("the animations have been found", () => {
  assert.ok(animations.length >= 6);
});
