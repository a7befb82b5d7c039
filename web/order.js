// @ts-check
/** What an order looks like in words, whoever wrote it and whatever they put in its fields. */

/** @typedef {{ [field: string]: unknown }} Order */
/** @typedef {{ field: string, label: string, from: string, to: string }} Difference */

export const STATUSES = ["pending", "shipped", "delivered"];

const LABELS = { status: "status", customer_name: "customer", product_name: "product" };
const LONGEST = 160;

/**
 * The id under which events speak of this document; null if it is no document.
 * @param {unknown} document
 * @returns {string | null}
 */
export function idOf(document) {
  if (document === null || typeof document !== "object" || !("_id" in document)) return null;
  return typeof document._id === "string" ? document._id : JSON.stringify(sorted(document._id));
}

/**
 * The same value with the fields of all objects in order, as the server writes ids that are objects.
 * @param {unknown} value
 * @returns {unknown}
 */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).map(([name, inner]) => [name, sorted(inner)]);
  return Object.fromEntries(fields.sort(([one], [other]) => (String(one) < String(other) ? -1 : 1)));
}

/**
 * Any value as a short text; nothing gives the empty text.
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
 * The last six characters: enough to tell orders apart, and those that differ between neighbours.
 * @param {string} id
 */
export function shortId(id) {
  return id.length > 8 ? `…${id.slice(-6)}` : id;
}

/**
 * Whether the API can change an order with this id: an ObjectId, as all its own orders have.
 * @param {string} id
 */
export function isOurs(id) {
  return /^[0-9a-f]{24}$/i.test(id);
}

/** @param {Order | null} order */
export function nameOf(order) {
  if (!order) return "";
  return [textOf(order.customer_name, 60), textOf(order.product_name, 60)].filter(Boolean).join(" · ");
}

/**
 * The fields that a reader of the page can see to have changed.
 * @param {Order | null} before
 * @param {Order | null} after
 * @returns {Difference[]}
 */
export function differences(before, after) {
  if (!before || !after) return [];
  return Object.entries(LABELS)
    .map(([field, label]) => ({ field, label, from: textOf(before[field], 40), to: textOf(after[field], 40) }))
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
