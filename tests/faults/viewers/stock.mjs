// Stock socket.io-client instances that report what they are shown, one JSON array a line; told what to do on stdin.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
const say = (...fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);

function start({ index, urls, url, transports, since, filter, token }) {
  const socket = io(urls[url], {
    transports,
    auth: { since, ...(filter && { filter }), ...(token && { token }) },
    reconnectionDelay: 200,
    reconnectionDelayMax: 1000,
    forceNew: true,
  });
  let next = url;
  const hop = () => {
    next = (next + 1) % urls.length;
    socket.io.uri = urls[next];
  };
  socket.on("connected", () => say(index, "connected", socket.recovered));
  socket.on("orderUpdate", (envelope) => say(index, "orderUpdate", envelope));
  socket.on("resync", (said) => say(index, "resync", said));
  socket.on("disconnect", (reason) => say(index, "disconnect", reason));
  socket.on("connect_error", (error) => {
    say(index, "refused", error.message);
    hop();
    if (!socket.active) setTimeout(() => socket.connect(), 300);
  });
  socket.io.on("reconnect_error", hop);
  sockets.set(index, {
    hop: () => {
      hop();
      // The manager hears nothing of an engine that is closed while it opens, and waits for it for 20 s.
      if (socket.io.engine?.readyState === "open") socket.io.engine.close();
    },
  });
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line);
    if (order.do === "start") start(order);
    else sockets.get(order.index)?.hop();
  })
  .on("close", () => process.exit(0));
