// @ts-check
/** One connection by Server-Sent Events, read by `fetch`: it can send a token, and sees the heartbeats. */

import { Unavailable } from "./errors.js";
import { EventParser } from "./event-parser.js";

/** @typedef {import("./stream.js").StreamEvent} StreamEvent */

/** The server greets at once; a proxy that collects a stream before it passes it on is of no use. */
const GREETING_MS = 10_000;
/** The server sends a heartbeat every 15 seconds. */
const SILENCE_MS = 40_000;

/**
 * The events of `path` after `since`, until the connection ends; throws Unavailable, AccessEnded and Refused.
 * @param {import("./server.js").Server} server
 * @param {string} path
 * @param {string | null} since
 * @param {AbortSignal} signal
 * @param {import("./retry.js").Backoff} backoff
 * @param {() => void} heard
 * @returns {AsyncGenerator<StreamEvent>}
 */
export async function* sseConnection(server, path, since, signal, backoff, heard) {
  const own = new AbortController();
  const abort = () => own.abort();
  signal.addEventListener("abort", abort);
  let isSilent = false;
  const fallSilent = () => {
    isSilent = true;
    abort();
  };
  let silence = setTimeout(fallSilent, GREETING_MS);
  try {
    /** @type {Record<string, string>} */
    const headers = since === null ? {} : { "Last-Event-ID": since };
    const reader = await server.stream(path, headers, own.signal);
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new Unavailable("the event stream broke off");
      });
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(fallSilent, SILENCE_MS);
      heard();
      for (const { name, data, id } of parser.feed(value)) {
        backoff.atLeast = parser.retry;
        yield { name, told: data === "" ? null : JSON.parse(data), id };
      }
    }
  } catch (error) {
    throw isSilent ? new Unavailable("the server did not answer in time") : error;
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", abort);
    own.abort();
  }
}
