// A stock socket.io-client: prints its events as lines of JSON, and executes commands from such lines.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, options] = process.argv.slice(2);
const say = (what, fields = {}) => process.stdout.write(`${JSON.stringify({ what, ...fields })}\n`);
const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, ...JSON.parse(options) });

socket.io.on("open", () => {
  // Now, because the upgrade may be over before the namespace is connected.
  socket.io.engine.once("upgrade", (transport) => say("upgrade", { transport: transport.name }));
});
socket.on("connect", () => say("connect", { recovered: socket.recovered }));
socket.onAny((name, ...args) => say("event", { name, args }));
socket.on("disconnect", (reason) => say("disconnect", { reason }));
socket.on("connect_error", (error) => say("connect_error", { message: error.message, data: error.data }));

createInterface({ input: process.stdin }).on("line", (line) => {
  const { ask, pid, offset, args } = JSON.parse(line);
  if (pid !== undefined) socket._pid = pid;
  if (offset !== undefined) socket._lastOffset = offset;
  if (ask === "drop") socket.io.engine.close();
  if (ask === "emit") socket.emit(...args, (answer) => say("ack", { answer }));
});
