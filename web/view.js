// @ts-check
/** Which orders are shown: the choice in the address of the page, for the API and the stream, for an order, and in words. */

import { idOf, isolated, STATUSES, textOf } from "./order.js";
import { foundBy, partOf, sortedBy } from "./ordering.js";

/** @typedef {import("./order.js").Order} Order */
/**
 * Orders with one of these statuses (none: with any) and of this customer (empty: of all), or those that are found by a
 * text (empty: all); `sort` is the API's word for their order (empty: newest first).
 * @typedef {{ statuses: readonly string[], customer: string, sought: string, sort: string }} View
 */
/** As the API and the stream take it. @typedef {{ status?: string[], customer_name?: string[] }} Filter */
/** As the API takes it for a list. @typedef {Filter & { q?: string[], sort?: string[] }} List */

/** The longest name that the API looks for. */
export const LONGEST_NAME = 200;

/** @type {View} */
export const EVERYTHING = Object.freeze({ statuses: [], customer: "", sought: "", sort: "" });

/** What can be sorted by, and with which filters: the others are served by no index. @type {Map<string, readonly ("status" | "customer")[]>} */
const SORTS = new Map([
  ["_id", ["status", "customer"]],
  ["updated_at", ["status", "customer"]],
  ["customer_name", ["status", "customer"]],
  ["product_name", ["customer"]],
  ["status", ["status"]],
]);

/** @param {string} query of an address; what is no choice counts for nothing @returns {View} */
export function viewIn(query) {
  const given = new URLSearchParams(query);
  const text = (/** @type {string} */ name) => {
    const value = given.get(name) ?? "";
    return value.length > LONGEST_NAME ? "" : value;
  };
  const sort = given.get("sort") ?? "";
  return fitting({
    statuses: STATUSES.filter((status) => given.getAll("status").includes(status)),
    customer: text("customer"),
    sought: text("q"),
    sort: SORTS.has(sort.replace(/^-/, "")) && sort !== "-_id" ? sort : "",
  });
}

/** The view as far as the API has it: a search goes without all else, and some filters without some sorts. @param {View} view @returns {View} */
export function fitting(view) {
  if (view.sought !== "") return { ...EVERYTHING, sought: view.sought };
  return canSort(view.sort, view) ? view : { ...view, sort: "" };
}

/**
 * The view without what the server has refused, by the names of its parameters; null: nothing of the view was refused.
 * @param {View} view
 * @param {readonly string[]} refused
 */
export function without(view, refused) {
  const next = {
    statuses: refused.includes("status") ? [] : view.statuses,
    customer: refused.includes("customer_name") ? "" : view.customer,
    sought: refused.includes("q") ? "" : view.sought,
    sort: refused.includes("sort") ? "" : view.sort,
  };
  return sameView(view, next) ? null : next;
}

/** @param {string} sort @param {View} view */
export function canSort(sort, { statuses, customer, sought }) {
  if (sort === "") return true;
  if (sought !== "" || (statuses.length > 0 && customer !== "" && sort !== "_id")) return false;
  const filters = SORTS.get(sort.replace(/^-/, "")) ?? [];
  return (statuses.length === 0 || filters.includes("status")) && (customer === "" || filters.includes("customer"));
}

/** The query of the address that leads to this view; what else is in the present one stays. @param {View} view @param {string} query */
export function addressOf({ statuses, customer, sought, sort }, query) {
  const next = new URLSearchParams(query);
  for (const name of ["status", "customer", "q", "sort"]) next.delete(name);
  for (const status of statuses) next.append("status", status);
  if (customer) next.set("customer", customer);
  if (sought) next.set("q", sought);
  if (sort) next.set("sort", sort);
  return next.size > 0 ? `?${next}` : "";
}

/** @param {View} one @param {View} other */
export function sameView(one, other) {
  return addressOf(one, "") === addressOf(other, "");
}

/** @param {View} view @returns {Filter} */
export function filterOf({ statuses, customer }) {
  return {
    ...(statuses.length > 0 ? { status: [...statuses] } : {}),
    ...(customer ? { customer_name: [customer] } : {}),
  };
}

/** @param {View} view @returns {List} */
export function listOf(view) {
  return {
    ...filterOf(view),
    ...(view.sought ? { q: [view.sought] } : {}),
    ...(view.sort ? { sort: [view.sort] } : {}),
  };
}

/** The order in which they are listed; null: newest first. @param {View} view */
export function orderingOf({ sought, sort }) {
  if (sought) return foundBy(sought);
  return sort ? sortedBy(sort) : null;
}

/** Whether all orders of one filter are also those of another, wider one. @param {Filter} wide @param {Filter} narrow */
export function covers(wide, narrow) {
  const fields = /** @type {(keyof Filter)[]} */ (Object.keys(wide));
  return fields.every((field) => narrow[field]?.every((value) => wide[field]?.includes(value)) ?? false);
}

/** The filter among these that covers the others, or else that of all orders. @param {readonly Filter[]} filters @returns {Filter} */
export function widest(filters) {
  return filters.find((wide) => filters.every((each) => covers(wide, each))) ?? {};
}

/** The parameters of a request for it. @param {List} filter @param {Record<string, string>} [more] */
export function parametersOf(filter, more = {}) {
  const given = Object.entries(filter).flatMap(([name, values]) => values.map((value) => [name, value]));
  return new URLSearchParams([...Object.entries(more), ...given]);
}

/** @param {View} view @returns {((order: Order) => boolean) | null} null: every order belongs to it */
export function matcherOf({ statuses, customer, sought }) {
  if (sought !== "") return (order) => partOf(sought, idOf(order) ?? "", order) !== null;
  if (statuses.length === 0 && customer === "") return null;
  return (order) =>
    (statuses.length === 0 || statuses.includes(/** @type {string} */ (order.status))) &&
    (customer === "" || order.customer_name === customer);
}

/** Why an order does not belong to it any longer. @param {Order | null} order as it is now @param {View} view */
export function whyLeft(order, { statuses, customer }) {
  const now = textOf(order?.status, 40);
  if (statuses.length > 0 && now !== "" && !statuses.includes(now)) return `now ${now}`;
  if (order !== null && customer !== "" && order.customer_name !== customer) return "another customer’s";
  return statuses.length === 1 ? `no longer ${statuses[0]}` : "has left";
}

/** That there are none. @param {View} view */
export function noneOf({ statuses, customer, sought }) {
  if (sought !== "") return `No order whose id, customer or product begins with ${isolated(sought)}.`;
  if (statuses.length === 0 && customer === "") return "No orders yet. Add one, and it appears on every open page.";
  const of = customer ? ` of the customer ${isolated(customer)}` : "";
  return `No ${[...statuses, ""].join(" or ").replace(/ or $/, " ")}orders${of}.`;
}
