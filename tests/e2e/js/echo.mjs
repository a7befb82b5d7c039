// Runs the stock JavaScript client against the conformance server; prints the result as one line of JSON.
import { io } from "socket.io-client";

const [url, transports] = process.argv.slice(2);
const COUNT = 200;
const HANGS = 60_000; // milliseconds: however busy the machine is

const socket = io(url, {
  transports: transports.split(","),
  auth: { token: "abc" },
  reconnection: false,
  timeout: HANGS,
});
const result = { errors: [] };
socket.on("connect_error", (error) => result.errors.push(error.message));

const once = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
const hex = (value) => (Buffer.isBuffer(value) ? value.toString("hex") : value);

[result.auth] = await once(socket, "auth");
result.first = socket.io.engine.transport.name;

const numbers = [];
const all = new Promise((resolve) => {
  socket.on("message-back", (value) => {
    numbers.push(value);
    if (numbers.length === COUNT) resolve();
  });
});
// From the first moment, so that an upgrade happens in between.
for (let i = 0; i < COUNT; i += 1) {
  socket.emit("message", i);
  if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}
await all;
socket.off("message-back");
result.inOrder = numbers.every((value, index) => value === index);

const text = "ünï \u{1f4a9} \u0000 \u2028 x".repeat(1000);
const plain = once(socket, "message-back");
socket.emit("message", 1, "2", { 3: [true, null, text] });
result.plain = JSON.stringify(await plain) === JSON.stringify([1, "2", { 3: [true, null, text] }]);

const binary = once(socket, "message-back");
socket.emit("message", Buffer.from([1, 2, 3]), { deep: [new Uint8Array([4, 5])] }, Buffer.alloc(0));
const [one, two, three] = await binary;
result.binary = [hex(one), hex(two.deep[0]), hex(three)];

result.ack = await socket.timeout(HANGS).emitWithAck("message-with-ack", 7);
const acks = await Promise.all([1, 2, 3].map((i) => socket.timeout(HANGS).emitWithAck("message-with-ack", i)));
result.acks = acks;
result.binaryAck = hex(await socket.timeout(HANGS).emitWithAck("message-with-ack", Buffer.from("ff00", "hex")));

const custom = socket.io.socket("/custom", { auth: { as: "guest" } });
[result.customAuth] = await once(custom, "auth");
const there = once(custom, "message-back");
custom.emit("message", "over there");
[result.custom] = await there;

const unknown = socket.io.socket("/unknown");
const [refusal] = await once(unknown, "connect_error");
result.unknown = refusal.message;

custom.disconnect();
// Longer than several heartbeats: pings are answered, and the other namespace has not suffered.
await new Promise((resolve) => setTimeout(resolve, 1200));
result.stillHere = await socket.timeout(HANGS).emitWithAck("message-with-ack", "still here");
result.last = socket.io.engine.transport.name;

const end = once(socket, "disconnect");
socket.io.engine.write("this is no packet of Socket.IO");
[result.malformed] = await end;

console.log(JSON.stringify(result));
process.exit(0);
