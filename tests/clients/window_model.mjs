// Does with the JavaScript library what test_window_model.py does with Python's: a history per line comes in, and how many
// were followed and how many lists they asked for goes out.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Unavailable } from "../../clients/js/src/errors.js";
import { WindowCopy } from "../../clients/js/src/window-copy.js";

const realTimeout = globalThis.setTimeout;
globalThis.setTimeout = (call) => realTimeout(call, 0); // between two lists

let asked = 0;
let dice = 0;
const random = () => (dice = (dice * 48_271) % 2_147_483_647) / 2_147_483_647;
const between = (low, high) => low + Math.floor(random() * (high - low + 1));

async function follow({ window, changes, lists, rows }) {
  let now = 0;
  const server = {
    async request(_method, path) {
      asked += 1;
      assert.equal(new URL(path, "http://localhost").searchParams.get("after") ?? undefined, window.after?.mark);
      if (random() < 0.05) throw new Unavailable("the network is down");
      const moment = between(Math.max(0, now - 3), lists.length - 1);
      const most = Number(/limit=(\d+)/.exec(path)[1]);
      const headers = new Headers({ "Stream-Cursor": `e.${moment}-4294967295` });
      if (lists[moment].length > most) headers.set("Link", '</api/orders?after=x>; rel="next"');
      return { status: 200, headers, body: lists[moment].slice(0, most) };
    },
  };
  const copy = new WindowCopy(server, "/api/orders", "", window, new AbortController().signal, compare);

  function compare() {
    const { status, position } = copy.state;
    if (status.phase === "live") assert.deepEqual([...copy.state.rows.values()], rows[Number(position.time)]);
  }

  await copy.take({ name: "connected", told: { cursor: "e.0-0" }, id: "e.0-0" });
  for (const told of changes) {
    now += 1;
    const isLost = random() < 0.005;
    const event = isLost
      ? { name: "resync", told: { ...told, reason: "history_lost" } }
      : { name: "orderUpdate", told };
    await copy.take({ ...event, id: told.cursor });
    compare();
    if (random() < 0.1) await copy.take({ name: "message", told: null, id: told.cursor });
    compare();
  }
  assert.equal(copy.state.status.phase, "live");
}

let runs = 0;
for await (const line of createInterface({ input: process.stdin })) {
  runs += 1;
  dice = runs;
  await follow(JSON.parse(line)).catch((error) => {
    throw new Error(`run ${runs - 1}: ${JSON.stringify(JSON.parse(line).window)}`, { cause: error });
  });
}
process.stdout.write(`${runs} ${asked}`);
