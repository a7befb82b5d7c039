// @ts-check
/** The client of the REST API: reads the list, writes orders, and puts errors into words. */

import { authorization } from "./credentials.js";
import { parametersOf } from "./view.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./envelope.js").Page} Page */
/** @typedef {{ id: string | null, cursor: string | null }} Written */
/** @typedef {{ body: any, headers: Headers }} Answer */
/** A change of an order's past: see "History" in docs/rest.md. `from` is absent where it is not known. @typedef {{ operation: string, cursor: string, at: string, left?: boolean, incomplete?: boolean, fields?: { field: string, from?: unknown, to: unknown }[] }} PastChange */
/** `next`: the `before` of earlier changes; null: there are none. @typedef {{ changes: PastChange[], since: string, next: string | null }} Past */

const ROOT = "/api/orders";
const PATIENCE_MS = 10_000;
/** The server takes no longer than four minutes for one. */
const EXPORT_MS = 300_000;
const NEXT = /<([^>]*)>\s*;[^,]*\brel="?next\b/i;
/** Problems that guarantee that nothing was written. */
const NOTHING_DONE = ["store-unavailable", "collection-unfit"].map((kind) => `urn:realtime-orders:problem:${kind}`);

/** An error of the server or the network; `fields` has the message for each invalid field of the order. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, kind?: string, fields?: Map<string, string>, late?: boolean, unknown?: boolean }} [more]
   *   `late`: there was no answer in time; `unknown`: the outcome of the request is not known
   */
  constructor(message, { status = 0, kind = "", fields = new Map(), late = false, unknown = false } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.kind = kind;
    this.fields = fields;
    this.late = late;
    this.unknown = unknown;
  }
}

/**
 * @param {{ limit: number, filter: import("./view.js").List, after?: string | null }} query
 * @returns {Promise<Page & { readAt: number | null }>} `readAt`: the time by the server's clock
 */
export async function listOrders({ limit, filter, after }) {
  const query = parametersOf(filter, { limit: String(limit), ...(after ? { after } : {}) });
  const { body, headers } = await request(`${ROOT}?${query}`);
  if (!Array.isArray(body)) throw new ApiError("The server answered with something other than a list of orders.");
  const readAt = Date.parse(headers.get("Date") ?? "");
  return {
    orders: body,
    cursor: headers.get("Stream-Cursor"),
    next: nextOf(headers, "after"),
    readAt: Number.isNaN(readAt) ? null : readAt,
  };
}

/** @param {import("./view.js").List} filter @returns {Promise<import("./total.js").Total>} */
export async function countOrders(filter) {
  const { headers } = await request(`${ROOT}?${parametersOf(filter, { limit: "1", count: "true" })}`);
  const [, more, count] = /^(>?)(\d+)$/.exec(headers.get("Total-Count") ?? "") ?? [];
  if (count === undefined) throw new ApiError("The server does not say how many orders there are.");
  return { count: Number(count), more: more !== "" };
}

/** Customers whose names begin so, as far as a page of the search has them. @param {string} beginning @returns {Promise<string[]>} */
export async function findCustomers(beginning) {
  const { body } = await request(
    `${ROOT}?${new URLSearchParams({ q: beginning, fields: "customer_name", limit: "100" })}`,
  );
  const names = Array.isArray(body) ? body.map((order) => order?.customer_name) : [];
  return [...new Set(names)].filter((name) => typeof name === "string" && name.startsWith(beginning));
}

/** All orders in a file. @param {import("./view.js").List} filter @returns {Promise<Blob>} */
export async function exportOrders(filter) {
  const headers = { Accept: "text/csv" };
  const response = await answerTo(`${ROOT}?${parametersOf(filter)}`, {
    headers,
    signal: AbortSignal.timeout(EXPORT_MS),
  });
  try {
    return await response.blob();
  } catch {
    throw new ApiError("The download broke off. Try again."); // what came is not all, and must not look like it
  }
}

/**
 * @param {string} id
 * @returns {Promise<{ order: Order | null, cursor: string | null, etag: string | null }>} null: there is none
 */
export async function getOrder(id) {
  try {
    const { body, headers } = await request(addressOf(id));
    return { order: body, cursor: headers.get("Stream-Cursor"), etag: headers.get("ETag") };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { order: null, cursor: null, etag: null };
    throw error;
  }
}

/**
 * @param {string} id
 * @param {string | null} before the cursor that the changes are older than; null: the newest
 * @returns {Promise<Past>}
 */
export async function getHistory(id, before) {
  const query = before === null ? "" : `?${new URLSearchParams({ before })}`;
  const { body, headers } = await request(`${addressOf(id)}/history${query}`);
  if (!Array.isArray(body?.changes)) throw new ApiError("The server answered with something other than a history.");
  return { changes: body.changes, since: body.complete_since_at, next: nextOf(headers, "before") };
}

/** @param {Order} fields @returns {Promise<Written>} */
export async function createOrder(fields) {
  return written(await request(ROOT, { method: "POST", ...json(fields) }));
}

/**
 * @param {string} id
 * @param {Order} fields
 * @param {string | null} [etag] only if the order is still this version
 * @returns {Promise<Written>}
 */
export async function updateOrder(id, fields, etag = null) {
  const { headers, body } = json(fields);
  /** @type {Record<string, string>} */
  const condition = etag === null ? {} : { "If-Match": etag };
  return written(await request(addressOf(id), { method: "PUT", headers: { ...headers, ...condition }, body }));
}

/** Outlives the page: it may be the last that the page does. @param {string} id @returns {Promise<Written>} */
export async function deleteOrder(id) {
  return written(await request(addressOf(id), { method: "DELETE", keepalive: true }));
}

/** @param {string} id any text: it is the server's to give and to understand */
function addressOf(id) {
  return `${ROOT}/${encodeURIComponent(id)}`;
}

/** @param {Order} fields */
function json(fields) {
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) };
}

/** @param {Answer} answer @returns {Written} */
function written({ body, headers }) {
  return { id: typeof body?._id === "string" ? body._id : null, cursor: headers.get("Stream-Cursor") };
}

/** @param {Headers} headers @param {string} name of the parameter that leads on @returns {string | null} */
function nextOf(headers, name) {
  const [, address] = NEXT.exec(headers.get("Link") ?? "") ?? [];
  if (address === undefined) return null;
  const place = new URL(address, location.href).searchParams.get(name);
  if (place === null) throw new ApiError("The server answered with a list that does not say where it goes on.");
  return place;
}

/** @param {string} url @param {RequestInit} [options] @returns {Promise<Response>} */
async function answerTo(url, options) {
  /** @type {Response} */
  let response;
  try {
    const headers = { ...authorization(), ...options?.headers };
    response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS), ...options, headers });
  } catch (error) {
    throw unanswered(error);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** @param {string} url @param {RequestInit} [options] @returns {Promise<Answer>} */
async function request(url, options) {
  const response = await answerTo(url, options);
  try {
    return { body: await response.json(), headers: response.headers };
  } catch (error) {
    // The write has succeeded; not every proxy's answer is JSON.
    if (options?.method) return { body: null, headers: response.headers };
    throw error instanceof SyntaxError
      ? new ApiError("The server answered with something unreadable.")
      : unanswered(error);
  }
}

/** @param {unknown} error of `fetch` @returns {ApiError} */
function unanswered(error) {
  const late = error instanceof DOMException && error.name === "TimeoutError";
  const message = late ? "The server did not answer in time." : "The server cannot be reached.";
  return new ApiError(message, { late, unknown: true });
}

/** Read application/problem+json (RFC 9457). @param {Response} response */
async function problemOf(response) {
  const { status } = response;
  const problem = await response.json().catch(() => null);
  const fields = new Map();
  for (const error of Array.isArray(problem?.errors) ? problem.errors : []) {
    const field = String(error?.field ?? error?.pointer ?? "").replace(/^#?\//, "");
    if (field && !fields.has(field)) fields.set(field, String(error?.message ?? error?.detail ?? "is not valid"));
  }
  const message = problem?.detail || problem?.title || `The server answered ${status}.`;
  // Any other failure of the server, or of a proxy in between, may have come after the write.
  return new ApiError(String(message), {
    status,
    kind: String(problem?.type ?? "").replace(/^.*:/, ""),
    fields,
    unknown: status >= 500 && !NOTHING_DONE.includes(problem?.type),
  });
}
