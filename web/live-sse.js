// @ts-check
/** The live connection by Server-Sent Events, for when there is no Socket.IO client. */

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Filter} Filter */
/** @typedef {import("./live.js").Live} Live */

const EVENTS = "/api/orders/events";
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/**
 * @param {Following} following
 * @returns {Live}
 */
export function followBySSE({ position, listener }) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {Filter} */
  let wanted = {};
  let wait = FIRST_WAIT_MS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;

  function open() {
    clearTimeout(retryTimer);
    source?.close();
    const since = position();
    const query = new URLSearchParams({ ...(since === null ? {} : { since }), ...wanted });
    const opened = new EventSource(`${EVENTS}?${query}`);
    source = opened;
    listener.transport("SSE");
    opened.addEventListener("open", () => {
      wait = FIRST_WAIT_MS;
      listener.heard();
    });
    hear(opened, "connected", (greeting) => listener.greeted(greeting, since !== null));
    hear(opened, "orderUpdate", (envelope) => listener.changed(envelope));
    hear(opened, "status", (status) => listener.stale(status?.stale ? String(status.reason) : null));
    hear(opened, "resync", (notice) => listener.mustResync(String(notice?.reason ?? ""), notice?.cursor ?? null));
    opened.addEventListener("error", () => {
      listener.lost("the event stream broke off");
      // While CONNECTING the browser tries again by itself; CLOSED means that it has given up (an error status).
      if (opened.readyState === EventSource.CLOSED && source === opened) later();
    });
  }

  function later() {
    clearTimeout(retryTimer);
    retryTimer = setTimeout(open, wait * (0.5 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }

  /**
   * @param {EventSource} from
   * @param {string} name
   * @param {(payload: any) => void} act
   */
  function hear(from, name, act) {
    from.addEventListener(name, (event) => {
      if (source !== from) return; // a stream that was replaced has nothing more to say
      listener.heard();
      act(JSON.parse(event.data));
    });
  }

  open();
  return {
    async filter(filter) {
      wanted = filter;
      open();
      return null; // the stream starts where the page stands, whatever its filter
    },
    retry() {
      if (source?.readyState !== EventSource.OPEN) open();
    },
  };
}
