// Runs stock Socket.IO clients and prints a line of JSON for each of their events.
//
//     node audience.mjs <url> <{"name": ["polling", "websocket"], ...}>
//
// It ends when its standard input does.

import { io } from "socket.io-client";

const [url, clients] = process.argv.slice(2);

function say(client, what, more = {}) {
  process.stdout.write(`${JSON.stringify({ client, what, ...more })}\n`);
}

for (const [name, transports] of Object.entries(JSON.parse(clients))) {
  const socket = io(url, { transports, forceNew: true, reconnectionDelay: 200, reconnectionDelayMax: 1000 });
  socket.on("connected", ({ server }) =>
    say(name, "connected", { server, recovered: socket.recovered, transport: socket.io.engine.transport.name }),
  );
  socket.on("orderUpdate", ({ operation, id, cursor }) => say(name, "change", { operation, id, cursor }));
  socket.on("resync", ({ reason }) => say(name, "resync", { reason }));
  socket.on("disconnect", (reason) => say(name, "disconnected", { reason }));
  socket.on("connect_error", (error) => say(name, "refused", { reason: error.message }));
  socket.on("connect", () => socket.io.engine.once("upgrade", (to) => say(name, "upgraded", { transport: to.name })));
}

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
