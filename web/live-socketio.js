// @ts-check
/** The live connection by the stock Socket.IO client, which reconnects and recovers by itself. */

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Filter} Filter */
/** @typedef {import("./live.js").Live} Live */

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
  let asked = false;
  const socket = io({
    transports,
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    // A function, because each fresh connection must start where the page stands by then.
    auth: (/** @type {(data: object) => void} */ send) => {
      const since = position();
      asked = since !== null;
      send(since === null ? {} : { since });
    },
  });
  const subscribe = () => socket.timeout(ACK_MS).emitWithAck("subscribe", wanted);
  let continued = false;

  socket.io.on("open", () => watchEngine(socket.io.engine, listener));
  socket.io.on("ping", () => listener.heard());
  socket.on("connect", () => {
    listener.opened();
    continued = socket.recovered || asked;
    if (socket.recovered) listener.greeted(null, true);
    else if (wanted.status) subscribe().catch(() => socket.disconnect().connect());
  });
  socket.on("connected", (/** @type {any} */ greeting) => listener.greeted(greeting, continued));
  socket.on("orderUpdate", (/** @type {any} */ envelope) => listener.changed(envelope));
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

  return {
    async filter(filter) {
      wanted = filter;
      if (!socket.connected) return; // said at the next connection
      if (filter.status) await subscribe();
      else await socket.timeout(ACK_MS).emitWithAck("unsubscribe");
    },
    retry() {
      if (!socket.connected) socket.disconnect().connect();
    },
  };
}

/**
 * Report the transport that is really in use, also after an upgrade from polling.
 * @param {any} engine
 * @param {import("./live.js").Listener} listener
 */
function watchEngine(engine, listener) {
  const report = () => listener.transport(engine.transport.name === "websocket" ? "WebSocket" : "polling");
  report();
  engine.on("upgrade", report);
  engine.on("packet", () => listener.heard());
}
