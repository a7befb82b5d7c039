/** The client library's stream, as the page uses it: another target, another attempt, and what it tells of the connection. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server } from "../../../clients/js/src/server.js";
import { Stream } from "../../../clients/js/src/stream.js";
import { tick } from "./support/model.js";

/** A stream over a Socket.IO client that does nothing by itself. @param {import("node:test").TestContext} context */
function streamOver(context, transports = ["websocket"]) {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  /** @type {any[]} */
  const sockets = [];
  const io = (/** @type {string} */ _url, /** @type {any} */ options) => {
    /** @type {[string, (told?: any) => void][]} */
    const listeners = [];
    const on = (/** @type {string} */ name, /** @type {(told?: any) => void} */ act) => listeners.push([name, act]);
    const say = (/** @type {string} */ name, /** @type {any} */ told) => {
      for (const [of, act] of listeners) if (of === name) act(told);
    };
    sockets.push({ ...options, on, say, io: { on: () => {} }, disconnect: () => {} });
    return sockets.at(-1);
  };
  const end = new AbortController();
  /** @type {string[]} */
  const told = [];
  const observer = {
    lost: (/** @type {string | null} */ why) => told.push(why === null ? "back" : `lost: ${why}`),
    retrying: (/** @type {number | null} */ at) => told.push(at === null ? "trying" : `in ${at - Date.now()} ms`),
  };
  const server = new Server("http://localhost", undefined);
  const target = { path: "/all", wanted: {} };
  const ways = /** @type {import("../../../clients/js/src/transport-choice.js").Transport[]} */ (transports);
  const stream = new Stream(server, target, "e.1-0", ways, io, observer, end.signal);
  /** @type {string[]} */
  const events = [];
  const act = { onEvent: (/** @type {string} */ _cursor) => {} };
  const following = (async () => {
    for await (const { name, id } of stream.events()) {
      events.push(`${name} ${id}`);
      act.onEvent(String(id));
    }
  })();
  context.after(async () => {
    end.abort();
    await following;
  });
  const settle = async () => {
    for (let turn = 0; turn < 5; turn += 1) await tick();
  };
  return { stream, sockets, events, told, act, settle };
}

const WANTED = { status: ["pending"] };

test("another target goes on after the last event that was handed out, and what was received beyond that comes anew", async (context) => {
  const { stream, sockets, events, told, act, settle } = streamOver(context);
  await settle();
  assert.equal(sockets[0].auth.since, "e.1-0");
  act.onEvent = (cursor) => {
    if (cursor !== "e.3-0") return;
    stream.follow({ path: "/some", wanted: WANTED });
    assert.equal(stream.position, "e.3-0", "from here on it is in force");
  };
  sockets[0].say("connected", { cursor: "e.1-0" });
  for (const time of [2, 3, 4]) sockets[0].say("orderUpdate", { cursor: `e.${time}-0` });
  await settle();
  assert.deepEqual(sockets[1]?.auth, { since: "e.3-0", filter: WANTED });
  assert.deepEqual(events, ["connected e.1-0", "orderUpdate e.2-0", "orderUpdate e.3-0"]);
  assert.deepEqual(told, ["back"], "nothing was lost");
});

test("the next attempt is announced, and is made at once when asked for", async (context) => {
  const { stream, sockets, told, settle } = streamOver(context);
  await settle();
  sockets[0].say("connect_error", { message: "refused" });
  await settle();
  const wait = Number(/^in (\d+)/.exec(told[1] ?? "")?.[1]);
  assert.equal(told[0], "lost: refused");
  assert.ok(wait >= 100 && wait <= 200, told[1]);
  stream.again();
  await settle();
  assert.deepEqual([told.at(-1), sockets.length], ["trying", 2]);
  sockets[1].say("connected", { cursor: "e.1-0" });
  await settle();
  sockets[1].say("disconnect", "transport close");
  await settle();
  assert.deepEqual(told.slice(3, 5), ["back", "lost: transport close"]);
  assert.equal(sockets.length, 2, "after a pause");
  context.mock.timers.tick(200);
  await settle();
  assert.equal(sockets.length, 3);
});

test("a server that does not greet is given up, and another transport is tried at once", async (context) => {
  const { sockets, told, settle } = streamOver(context, ["websocket", "polling"]);
  await settle();
  context.mock.timers.tick(10_000);
  await settle();
  assert.deepEqual(told, ["lost: the server did not answer in time"]);
  assert.deepEqual(
    sockets.map(({ transports }) => transports),
    [["websocket"], ["polling"]],
  );
});

test("a server that says when to come back is asked by the same transport", async (context) => {
  const { sockets, told, settle } = streamOver(context, ["websocket", "polling"]);
  await settle();
  sockets[0].say("connect_error", { message: "rate_limited", data: { retry_after: 3 } });
  await settle();
  assert.equal(told[0], "lost: rate_limited");
  context.mock.timers.tick(3000);
  await settle();
  assert.deepEqual(sockets[1]?.transports, ["websocket"]);
});
