// @ts-check
/** Compares texts as MongoDB does. */

/**
 * As their bytes in UTF-8 compare; JavaScript's own order is that of UTF-16, where half of an emoji comes before U+FF01.
 * @param {string} a
 * @param {string} b
 */
export function byCodePoints(a, b) {
  const most = Math.min(a.length, b.length);
  for (let at = 0; at < most; at += 1) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one !== other) return asCodePoint(one) - asCodePoint(other);
  }
  return a.length - b.length;
}

/** Surrogates stand for what comes after all other characters. @param {number} unit */
function asCodePoint(unit) {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
