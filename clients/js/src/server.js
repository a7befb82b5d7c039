// @ts-check
/** Speaks HTTP to the gateway: addresses, tokens and answers. */

import { AccessEnded, Refused, Unavailable } from "./errors.js";

const ANSWER_MS = 15_000;
const LONGEST_WAIT_MS = 60_000;

/** @typedef {{ status: number, headers: Headers, body: any }} Answer */

export class Server {
  #url;
  #token;
  /** @type {string | null} */
  #current = null;

  /**
   * @param {string} url
   * @param {string | (() => string | Promise<string>) | undefined} token
   */
  constructor(url, token) {
    this.#url = url.replace(/\/+$/, "");
    this.#token = token;
  }

  get url() {
    return this.#url;
  }

  /** Whether there may be another token when this one is refused. */
  get canRenew() {
    return typeof this.#token === "function";
  }

  /** Whether there is one that has been used. */
  get hasToken() {
    return this.#current !== null;
  }

  /** Forget the token: the next request asks for another. */
  renew() {
    this.#current = null;
  }

  /** The token to be sent, or null where there is none; throws Unavailable where the function fails. @returns {Promise<string | null>} */
  async token() {
    if (this.#current === null && this.#token !== undefined) {
      this.#current = typeof this.#token === "function" ? await made(this.#token) : this.#token;
    }
    return this.#current;
  }

  /**
   * Make one request; throw Unavailable where there is no answer, and AccessEnded where we are not let in.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>}
   */
  async request(method, path, body, headers = {}) {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    /** @type {Record<string, string>} */
    const type = body === undefined ? {} : { "Content-Type": "application/json" };
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const response = await this.#respond(path, { method, ...json, headers: { ...type, ...headers }, signal });
      return { status: response.status, headers: response.headers, body: await jsonOf(response) };
    } catch (error) {
      throw understood(error);
    }
  }

  /**
   * Open a stream of events and return its text; throw Unavailable, AccessEnded or Refused.
   * @param {string} path
   * @param {Record<string, string>} headers
   * @param {AbortSignal} signal
   * @returns {Promise<ReadableStreamDefaultReader<string>>}
   */
  async stream(path, headers, signal) {
    try {
      const response = await this.#respond(path, { headers: { Accept: "text/event-stream", ...headers }, signal });
      if (response.status !== 200 || !response.body) {
        throw failure({ status: response.status, headers: response.headers, body: await jsonOf(response) });
      }
      return response.body.pipeThrough(new TextDecoderStream()).getReader();
    } catch (error) {
      throw understood(error);
    }
  }

  /**
   * Send a request, once more with another token where the first one is refused.
   * @param {string} path
   * @param {RequestInit & { headers: Record<string, string> }} init
   */
  async #respond(path, init) {
    for (let attempt = 0; ; attempt += 1) {
      const had = this.#current !== null;
      const token = await this.token();
      const headers = token === null ? init.headers : { ...init.headers, Authorization: `Bearer ${token}` };
      const response = await fetch(this.#url + path, { ...init, headers, cache: "no-store" });
      // A write that is not allowed is refused, and the copy goes on; who may not read gets nothing more.
      const isShut = response.status === 401 || (response.status === 403 && (init.method ?? "GET") === "GET");
      if (!isShut) return response;
      const problem = await jsonOf(response);
      if (!(had && this.canRenew && attempt === 0)) throw new AccessEnded(reasonOf(problem, response.status));
      this.renew();
    }
  }
}

/**
 * What an answer means that is no success: Unavailable where it makes sense to ask again, else Refused.
 * @param {Answer} answer
 */
export function failure({ status, headers, body }) {
  if (![429, 502, 503, 504].includes(status)) return new Refused(status, body);
  const seconds = Number(headers.get("Retry-After") ?? 0);
  const after = Number.isFinite(seconds) ? Math.min(seconds * 1000, LONGEST_WAIT_MS) : 0;
  return new Unavailable(String(body?.detail ?? `HTTP ${status}`), after);
}

/** What gives tokens may be away as well: it is asked again. @param {() => string | Promise<string>} token */
async function made(token) {
  try {
    return await token();
  } catch (error) {
    throw new Unavailable(`there is no token: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** @param {any} problem @param {number} status */
function reasonOf(problem, status) {
  return String(problem?.reason ?? problem?.detail ?? `HTTP ${status}`);
}

/** @param {unknown} error */
function understood(error) {
  if (error instanceof AccessEnded || error instanceof Refused || error instanceof Unavailable) return error;
  // For a broken connection each browser has its own words.
  if (error instanceof TypeError) return new Unavailable("the server cannot be reached");
  return new Unavailable(error instanceof Error ? error.message : String(error));
}

/** @param {Response} response @returns {Promise<any>} */
async function jsonOf(response) {
  const text = await response.text();
  if (!/json/.test(response.headers.get("Content-Type") ?? "")) return null;
  return JSON.parse(text);
}
