// @ts-check
/** The client of the REST API: reads the list, writes orders, and puts errors into words. */

/** @typedef {import("./order.js").Order} Order */
/** @typedef {import("./envelope.js").Page} Page */
/** @typedef {{ id: string | null, cursor: string | null }} Written */
/** @typedef {{ body: any, headers: Headers }} Answer */

const ROOT = "/api/orders";
const PATIENCE_MS = 10_000;
const NEXT = /<([^>]*)>\s*;[^,]*\brel="?next\b/i;
/** Problems that guarantee that nothing was written. */
const NOTHING_DONE = ["store-unavailable", "collection-unfit"].map((kind) => `urn:realtime-orders:problem:${kind}`);

/** An error of the server or the network; `fields` has the message for each invalid field of the order. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, fields?: Map<string, string>, late?: boolean, unknown?: boolean }} [more] `late`: there was no
   *   answer in time; `unknown`: the outcome of the request is not known
   */
  constructor(message, { status = 0, fields = new Map(), late = false, unknown = false } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.fields = fields;
    this.late = late;
    this.unknown = unknown;
  }
}

/**
 * @param {{ limit: number, status?: string | null, after?: string | null, customer?: string | null }} query
 * @returns {Promise<Page & { readAt: number | null }>} `readAt`: the time by the server's clock
 */
export async function listOrders({ limit, status, after, customer }) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (status) query.set("status", status);
  if (customer) query.set("customer_name", customer);
  if (after) query.set("after", after);
  const { body, headers } = await request(`${ROOT}?${query}`);
  if (!Array.isArray(body)) throw new ApiError("The server answered with something other than a list of orders.");
  const readAt = Date.parse(headers.get("Date") ?? "");
  return {
    orders: body,
    cursor: headers.get("Stream-Cursor"),
    next: nextOf(headers),
    readAt: Number.isNaN(readAt) ? null : readAt,
  };
}

/**
 * @param {string} id
 * @returns {Promise<{ order: Order | null, cursor: string | null }>} null: there is none
 */
export async function getOrder(id) {
  try {
    const { body, headers } = await request(addressOf(id));
    return { order: body, cursor: headers.get("Stream-Cursor") };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { order: null, cursor: null };
    throw error;
  }
}

/** @param {Order} fields @returns {Promise<Written>} */
export async function createOrder(fields) {
  return written(await request(ROOT, { method: "POST", ...json(fields) }));
}

/** @param {string} id @param {Order} fields @returns {Promise<Written>} */
export async function updateOrder(id, fields) {
  return written(await request(addressOf(id), { method: "PUT", ...json(fields) }));
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

/** @param {Headers} headers @returns {string | null} */
function nextOf(headers) {
  const [, address] = NEXT.exec(headers.get("Link") ?? "") ?? [];
  if (address === undefined) return null;
  const after = new URL(address, location.href).searchParams.get("after");
  if (after === null) throw new ApiError("The server answered with a list that does not say where it goes on.");
  return after;
}

/** @param {string} url @param {RequestInit} [options] @returns {Promise<Answer>} */
async function request(url, options) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  } catch (error) {
    throw unanswered(error);
  }
  if (!response.ok) throw await problemOf(response);
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
    fields,
    unknown: status >= 500 && !NOTHING_DONE.includes(problem?.type),
  });
}
