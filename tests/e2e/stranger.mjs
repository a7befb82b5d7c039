// A third-party client, by its name: prints its events as lines of JSON.

import { createRequire } from "node:module";

const [name, url] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const say = (what, fields = {}) => process.stdout.write(`${JSON.stringify({ what, ...fields })}\n`);
const told = (event, data) => say("event", { name: event, args: [JSON.parse(data)] });
const stream = `${url}/api/orders/events`;
const EVENTS = ["connected", "orderUpdate", "resync"];

/** @param {EventSource} source */
function follow(source) {
  for (const event of EVENTS) source.addEventListener(event, ({ data }) => told(event, data));
}

/** A client without recovery of its own resumes from its last cursor. */
function followSocket(io) {
  let since;
  const socket = io(url, { auth: (send) => send({ since }), reconnectionDelay: 50, reconnectionDelayMax: 200 });
  for (const event of EVENTS) {
    socket.on(event, (fields) => {
      since = fields.cursor;
      say("event", { name: event, args: [fields] });
    });
  }
}

const CLIENTS = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    follow(new EventSource(stream));
  },
  async "event-source-polyfill"() {
    globalThis.self = globalThis; // it looks for fetch in the window that it expects
    const { EventSourcePolyfill } = require("event-source-polyfill");
    follow(new EventSourcePolyfill(stream, { heartbeatTimeout: 30_000 }));
  },
  async "fetch-event-source"() {
    Object.assign(globalThis, {
      window: globalThis,
      document: { hidden: false, addEventListener() {}, removeEventListener() {} },
    });
    const { fetchEventSource } = require("@microsoft/fetch-event-source");
    await fetchEventSource(stream, {
      openWhenHidden: true,
      onmessage: ({ event, data }) => EVENTS.includes(event) && told(event, data),
      onclose() {
        throw new Error("go on"); // else it takes the end of the response for the end of the stream
      },
      onerror: () => 50,
    });
  },
  async "socket.io-client-3"() {
    followSocket(require("socket.io-client-3"));
  },
  async "socket.io-client"() {
    followSocket((await import("socket.io-client")).io);
  },
};

await CLIENTS[name]();
