// @ts-check
/** An order in words, whatever program wrote it and whatever its fields contain. */

/** @typedef {{ [field: string]: unknown }} Order */
/** @typedef {{ field: string, label: string, from: string, to: string }} Difference */

export const STATUSES = ["pending", "shipped", "delivered"];

const LABELS = { status: "status", customer_name: "customer", product_name: "product" };
const LONGEST = 160;
/** Characters that change the direction of what follows, and letters that are written from right to left. */
const ISOLATES = /[\u2066-\u2069]/g;
const OTHER_DIRECTION =
  /[\u200f\u061c\u202a-\u202e\u2066-\u2069\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]|[\ud802\ud803\ud83a\ud83b]/;
const OBJECT_ID = /^[0-9a-f]{24}$/;

/**
 * The id text of a document, whatever the type of its `_id`; null if it is no document.
 * @param {unknown} document
 * @returns {string | null}
 */
export function idOf(document) {
  if (document === null || typeof document !== "object" || !("_id" in document)) return null;
  return typeof document._id === "string" ? document._id : null;
}

/**
 * Any value as a short text; empty for null and undefined.
 * @param {unknown} value
 * @param {number} [longest]
 * @returns {string}
 */
export function textOf(value, longest = LONGEST) {
  const text = value === null || value === undefined ? "" : typeof value === "object" ? jsonOf(value) : String(value);
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

/** @param {object} value */
function jsonOf(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return "{…}"; // nested too deeply to be written out
  }
}

/**
 * The last six characters: enough to tell orders apart, because neighbours differ there.
 * @param {string} id
 */
export function shortId(id) {
  return id.length > 8 ? `…${id.slice(-6)}` : id;
}

/**
 * Whether the id is an ObjectId: such ids begin with their creation time, and sort as their texts do.
 * @param {string} id
 */
export function isObjectId(id) {
  return OBJECT_ID.test(id);
}

/**
 * A text of others as a part of a sentence: whatever its direction, it neither reorders nor reverses what follows.
 * @param {string} text
 */
export function isolated(text) {
  return OTHER_DIRECTION.test(text) ? `\u2068${text.replace(ISOLATES, "")}\u2069` : text;
}

/** @param {Order | null} order */
export function nameOf(order) {
  if (!order) return "";
  const parts = [textOf(order.customer_name, 60), textOf(order.product_name, 60)];
  return parts.filter(Boolean).map(isolated).join(" · ");
}

/**
 * The fields whose change is visible on the page.
 * @param {Order | null} before
 * @param {Order | null} after
 * @returns {Difference[]}
 */
export function differences(before, after) {
  if (!before || !after) return [];
  return Object.entries(LABELS)
    .map(([field, label]) => ({
      field,
      label,
      from: isolated(textOf(before[field], 40)),
      to: isolated(textOf(after[field], 40)),
    }))
    .filter(({ from, to }) => from !== to);
}

/**
 * Whether both read the same on the page, so that a row need not be touched.
 * @param {Order} one
 * @param {Order} other
 */
export function looksTheSame(one, other) {
  return ["customer_name", "product_name", "status", "updated_at"].every((f) => textOf(one[f]) === textOf(other[f]));
}
