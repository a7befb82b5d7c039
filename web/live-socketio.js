// @ts-check
/** The live connection by the stock Socket.IO client, which reconnects and recovers by itself. */

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Filter} Filter */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {import("./live.js").Listener} Listener */

const ACK_MS = 5000;

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

  const socket = io({
    transports,
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    // A function, because each fresh connection must start where the page stands by then.
    auth: (/** @type {(data: object) => void} */ send) => {
      const since = position();
      continued = since !== null;
      send({ ...(since === null ? {} : { since }), ...(wanted.status ? { filter: wanted } : {}) });
    },
  });

  socket.io.on("open", () => watchEngine(socket.io.engine, listener));
  socket.on("connect", () => {
    listener.heard();
    if (!socket.recovered) {
      agreed = wanted;
    } else if (agreed !== wanted) {
      // Recovered with the filter of before: what passed the new one meanwhile is not among what follows.
      void subscribe().then((since) => listener.mustResync(null, since));
    }
  });
  socket.on("connected", (/** @type {any} */ greeting) => listener.greeted(greeting, continued || socket.recovered));
  socket.on("orderUpdate", (/** @type {any} */ envelope) => listener.changed(envelope));
  socket.on("mark", (/** @type {any} */ mark) => listener.reached(String(mark?.cursor)));
  socket.on("status", (/** @type {any} */ status) => listener.stale(status?.stale ? String(status.reason) : null));
  socket.on("resync", (/** @type {any} */ notice) =>
    listener.mustResync(String(notice?.reason ?? "the server asked for it"), notice?.cursor ?? null),
  );
  socket.on("connect_error", (/** @type {Error} */ error) => {
    listener.lost(error.message);
    // Refused by the server itself (not by the network): the client leaves trying again to us.
    if (!socket.active) setTimeout(() => socket.connect(), 2000 + Math.random() * 2000);
  });
  socket.on("disconnect", (/** @type {string} */ reason) => {
    listener.lost(reason);
    if (reason === "io server disconnect") setTimeout(() => socket.connect(), 500 + Math.random() * 1000);
  });

  /**
   * A filter is added to those that hold already, except to none at all: so first everything, then this one.
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
      // No answer: the next connection brings the filter with it, or comes by here again.
      if (socket.connected) socket.disconnect().connect();
      return null;
    }
  }

  return {
    async filter(filter) {
      wanted = filter;
      return socket.connected ? subscribe() : null;
    },
    retry() {
      if (!socket.connected) socket.disconnect().connect();
    },
  };
}

/**
 * Report the transport that is really in use, also after an upgrade from polling.
 * @param {any} engine
 * @param {Listener} listener
 */
function watchEngine(engine, listener) {
  const report = () => listener.transport(engine.transport.name === "websocket" ? "WebSocket" : "polling");
  report();
  engine.on("upgrade", report);
  engine.on("packet", () => listener.heard()); // pings too
}
