// @ts-check
/** The live connection by the stock Socket.IO client, which recovers by itself; this file decides when it reconnects. */

import { Retry } from "./retry.js";

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Filter} Filter */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {import("./live.js").Listener} Listener */

const ACK_MS = 5000;
const OPEN_MS = 5000;
/** The server greets within milliseconds; a connection without a greeting after that is dead. */
const GREETING_MS = 10_000;

/**
 * @param {any} io
 * @param {Following} following
 * @param {string[]} [transports] WebSocket first: it needs no sticky sessions at a load balancer
 * @returns {Live}
 */
export function followBySocketIO(io, { position, listener }, transports = ["websocket", "polling"]) {
  /** @type {Filter} */
  let wanted = {};
  /** The filter that the server goes by. @type {Filter} */
  let agreed = wanted;
  let continued = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let deadline;

  const socket = io({
    transports,
    tryAllTransports: true,
    timeout: OPEN_MS,
    autoConnect: false,
    reconnection: false, // it does not say when it will reconnect; `retry` does
    // A function, because each new connection must start at the page's current position.
    auth: (/** @type {(data: object) => void} */ send) => {
      const since = position();
      continued = since !== null;
      send({ ...(since === null ? {} : { since }), ...(wanted.status ? { filter: wanted } : {}) });
    },
  });
  const retry = new Retry(connect, (at) => listener.retrying(at));

  function connect() {
    clearTimeout(deadline);
    deadline = setTimeout(() => lost("the server did not answer in time"), GREETING_MS);
    socket.disconnect().connect();
  }

  /** @param {string} why */
  function lost(why) {
    clearTimeout(deadline);
    socket.disconnect();
    listener.lost(why);
    retry.later();
  }

  socket.io.on("open", () => watchEngine(socket.io.engine, listener));
  socket.on("connect", () => {
    listener.heard();
    if (!socket.recovered) {
      agreed = wanted;
    } else if (agreed !== wanted) {
      // Recovered with the previous filter: changes that matched only the new one meanwhile will not follow.
      void subscribe().then((since) => listener.mustResync(null, since));
    }
  });
  socket.on("connected", (/** @type {any} */ greeting) => {
    clearTimeout(deadline);
    retry.succeeded();
    listener.greeted(greeting, continued || socket.recovered);
  });
  socket.on("orderUpdate", (/** @type {any} */ envelope) => listener.changed(envelope));
  socket.on("mark", (/** @type {any} */ mark) => listener.reached(String(mark?.cursor)));
  socket.on("status", (/** @type {any} */ status) => listener.stale(status?.stale ? String(status.reason) : null));
  socket.on("resync", (/** @type {any} */ notice) =>
    listener.mustResync(String(notice?.reason ?? "the server asked for it"), notice?.cursor ?? null, notice?.incident),
  );
  socket.on("connect_error", (/** @type {Error} */ error) => lost(error.message));
  socket.on("disconnect", (/** @type {string} */ reason) => {
    if (reason !== "io client disconnect") lost(reason); // that one is our own
  });

  /**
   * `subscribe` adds a filter to those in force, but replaces none at all: so subscribe to everything first, then to this.
   * @returns {Promise<string | null>}
   */
  async function subscribe() {
    const asked = wanted;
    try {
      let answer = await socket.timeout(ACK_MS).emitWithAck("subscribe");
      if (asked.status) answer = await socket.timeout(ACK_MS).emitWithAck("subscribe", asked);
      agreed = asked;
      return answer?.cursor ?? null;
    } catch {
      // No answer: the next connection carries the filter, or runs this again.
      if (socket.connected) lost("the server did not answer in time");
      return null;
    }
  }

  connect();
  return {
    async filter(filter) {
      wanted = filter;
      return socket.connected ? subscribe() : null;
    },
    retry(doubt) {
      if (doubt !== null && socket.connected) listener.lost(doubt);
      if (doubt !== null || !socket.connected) retry.now();
    },
  };
}

/**
 * Report the transport that is in use, also after an upgrade from polling.
 * @param {any} engine
 * @param {Listener} listener
 */
function watchEngine(engine, listener) {
  const report = () => listener.transport(engine.transport.name === "websocket" ? "WebSocket" : "polling");
  report();
  engine.on("upgrade", report);
  engine.on("packet", () => listener.heard()); // pings too
}
