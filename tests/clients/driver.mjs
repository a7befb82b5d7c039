// Runs the JavaScript library for the scenarios; what comes in and goes out, driver.py says.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { AccessEnded, liveOrders, LiveOrdersError, Refused } from "../../clients/js/src/index.js";

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
/** @type {import("../../clients/js/src/index.js").LiveOrders} */
let orders;
/** Takes the next token. @type {(token: string | Promise<string>) => void} */
let give = () => {};

function nextToken() {
  say({ wants: "token" });
  return new Promise((resolve) => (give = resolve));
}

const ACTS = {
  open({ url, filter, window, transports, asks }) {
    orders?.close();
    say({ opened: true });
    const token = asks ? nextToken : undefined;
    const here = (orders = liveOrders(url, { filter, window, token, io, transports }));
    orders.subscribe(({ rows, status }) => {
      if (here !== orders) return;
      const pending = here.pending.map(({ state }) => state);
      const shown = { rows: Object.fromEntries(rows), ids: [...rows.keys()], cursor: here.cursor };
      say({ view: { ...shown, ...status, pending, transport: here.transport } });
    });
  },
  token({ token }) {
    give(token || Promise.reject(new Error("none today")));
  },
  use({ transport }) {
    orders.use(transport);
  },
  async next() {
    try {
      say({ place: await orders.nextPlace() });
    } catch (error) {
      if (!(error instanceof LiveOrdersError)) throw error;
      say({ no_place: error.message });
    }
  },
  async write({ id, create, update, fields, delete: gone }) {
    try {
      const writing = create ? orders.create(create) : update ? orders.update(update, fields) : orders.delete(gone);
      say({ written: id, order: await writing });
    } catch (error) {
      if (error instanceof Refused) say({ written: id, refused: error.status });
      else if (error instanceof AccessEnded) say({ written: id, ended: error.reason });
      else throw error;
    }
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  void ACTS[asked.do](asked);
}
