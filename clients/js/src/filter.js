// @ts-check
/** Which orders are wanted: those whose every named field has one of the texts given. */

import { LiveOrdersError } from "./errors.js";

/** @typedef {Readonly<Record<string, readonly string[]>>} Wanted */

/** @type {Readonly<Record<string, string>>} */
const PARAMETERS = { ids: "id", status: "status", customer_name: "customer_name" };

/** @param {Record<string, string | readonly string[]>} filter @returns {Record<string, readonly string[]>} */
export function wantedOf(filter) {
  const unknown = Object.keys(filter).find((field) => !Object.hasOwn(PARAMETERS, field));
  if (unknown !== undefined) {
    throw new LiveOrdersError(`There is no filter ${unknown}, only ${Object.keys(PARAMETERS).join(", ")}`);
  }
  return Object.fromEntries(
    Object.entries(filter).map(([field, value]) => [field, typeof value === "string" ? [value] : [...value]]),
  );
}

/** The same as the query of an address, with its question mark; empty for all orders. @param {Wanted} wanted */
export function queryOf(wanted) {
  const pairs = Object.entries(wanted).flatMap(([field, values]) =>
    values.map((value) => [PARAMETERS[field] ?? field, value]),
  );
  return pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : "";
}

/** @param {Readonly<Record<string, any>>} order @param {Wanted} wanted */
export function fits(order, wanted) {
  return Object.entries(wanted).every(([field, values]) => values.includes(order[field === "ids" ? "_id" : field]));
}
