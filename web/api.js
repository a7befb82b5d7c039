// @ts-check
/** The REST side of the gateway: read the list, write orders, and say in words what went wrong. */

/** @typedef {import("./order.js").Order} Order */
/** @typedef {{ orders: unknown[], cursor: string | null, complete: boolean }} Snapshot */
/** @typedef {{ id: string | null, cursor: string | null }} Written */

const ROOT = "/api/orders";
const PATIENCE_MS = 10_000;

/** What the server, or the way to it, had to object; `fields` tells per field of the order what is wrong with it. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} [status] 0: no answer at all
   * @param {Map<string, string>} [fields]
   */
  constructor(message, status = 0, fields = new Map()) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.fields = fields;
  }
}

/**
 * @param {{ limit: number, status?: string | null }} query
 * @returns {Promise<Snapshot>}
 */
export async function listOrders({ limit, status }) {
  const query = new URLSearchParams({ limit: String(limit), ...(status ? { status } : {}) });
  const response = await request(`${ROOT}?${query}`);
  const orders = await response.json();
  if (!Array.isArray(orders)) throw new ApiError("The server answered with something that is no list of orders.");
  const complete = !/rel="?next/.test(response.headers.get("Link") ?? "");
  return { orders, cursor: response.headers.get("Stream-Cursor"), complete };
}

/**
 * @param {string} id
 * @returns {Promise<{ order: Order | null, cursor: string | null }>} null: there is none
 */
export async function getOrder(id) {
  try {
    const response = await request(`${ROOT}/${encodeURIComponent(id)}`);
    return { order: await response.json(), cursor: response.headers.get("Stream-Cursor") };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { order: null, cursor: null };
    throw error;
  }
}

/** @param {Order} fields @returns {Promise<Written>} */
export async function createOrder(fields) {
  return written(await request(ROOT, { method: "POST", ...body(fields) }));
}

/** @param {string} id @param {Order} fields @returns {Promise<Written>} */
export async function updateOrder(id, fields) {
  return written(await request(`${ROOT}/${encodeURIComponent(id)}`, { method: "PUT", ...body(fields) }));
}

/** @param {string} id @returns {Promise<Written>} */
export async function deleteOrder(id) {
  return written(await request(`${ROOT}/${encodeURIComponent(id)}`, { method: "DELETE" }));
}

/** @param {Order} fields */
function body(fields) {
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) };
}

/** @param {Response} response @returns {Promise<Written>} */
async function written(response) {
  const document = await response.json().catch(() => null); // not every proxy's answer is JSON
  const id = typeof document?._id === "string" ? document._id : null;
  return { id, cursor: response.headers.get("Stream-Cursor") };
}

/** @param {string} url @param {RequestInit} [options] */
async function request(url, options) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(late ? "The server did not answer in time." : "The server cannot be reached.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Read application/problem+json (RFC 9457). @param {Response} response */
async function problemOf(response) {
  const problem = await response.json().catch(() => null);
  const fields = new Map();
  for (const error of Array.isArray(problem?.errors) ? problem.errors : []) {
    const field = String(error?.field ?? error?.pointer ?? "").replace(/^#?\//, "");
    if (field && !fields.has(field)) fields.set(field, String(error?.message ?? error?.detail ?? "is not valid"));
  }
  const message = problem?.detail || problem?.title || `The server answered ${response.status}.`;
  return new ApiError(String(message), response.status, fields);
}
