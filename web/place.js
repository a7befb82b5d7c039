// @ts-check
/**
 * A tab's place in a group: the tab that holds a lock of the browser's has the connection, and passes everything on.
 *
 * Not a SharedWorker: where there is none (Android) this would be needed all the same, a worker that dies tells nobody,
 * and it has no page to sign in on. A lock is released with its tab, however that ends, and the next in line gets it.
 */

import { Hub } from "./hub.js";
import { Tab } from "./tab.js";

/** @typedef {import("./hub.js").Asking} Asking */
/** @typedef {import("./hub.js").Telling} Telling */
/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Live} Live */

/**
 * @param {Following} following
 * @param {(following: Following) => Promise<Live>} connect
 * @param {string | null} name of the group; null: one of its own
 * @param {() => boolean} isStillOf whether this page may still be told of, and tell, what this group sees
 */
export function take({ position, filter, listener, gate }, connect, name, isStillOf) {
  const id = newId();
  const channel = name === null ? null : new BroadcastChannel(name);
  const left = new AbortController();
  /** @type {Hub | null} */
  let hub = null;
  /** @type {() => void} */
  let release = () => {};
  let inLine = new AbortController();
  let stealing = Promise.resolve();
  /** The tabs whose end is waited for. @type {Set<string>} */
  const watched = new Set();

  const tab = new Tab({
    id,
    position,
    filter,
    listener,
    send: (message) => (hub ? void hub.receive(message) : channel?.postMessage(message)),
    later,
    asleep: takeOver,
  });

  /** @param {Telling} message */
  function post(message) {
    if (left.signal.aborted) return;
    tab.receive(message);
    if (!isStillOf()) return;
    channel?.postMessage(message);
    // The browser lets a page that is hidden try again rarely.
    if (message.kind === "tell" && message.what === "lost" && document.hidden) {
      channel?.postMessage(/** @type {Telling} */ ({ kind: "yield", hub: message.hub }));
    }
  }

  function lead() {
    const hubId = newId();
    const refused = () => {
      channel?.postMessage(/** @type {Telling} */ ({ kind: "refused", hub: hubId }));
      return gate.refused();
    };
    const own = new Hub({
      id: hubId,
      recent: tab.recent.copy(),
      scope: tab.scope,
      position,
      connect: (following) => connect({ ...following, gate: { ...gate, refused } }),
      post,
      now: () => performance.now(),
      later,
    });
    hub = own;
    post({ kind: "lead", hub: hubId });
    return own;
  }

  /** @param {Hub | null} own the hub that this tab has been */
  function follow(own) {
    if (hub === own) hub = null;
    own?.close();
  }

  /** Have the connection for as long as this tab has the lock. @param {LockOptions} options */
  async function leadOnce(options) {
    if (name === null || left.signal.aborted) return;
    /** @type {Hub | null} */
    let own = null;
    try {
      await navigator.locks.request(name, options, () => {
        if (left.signal.aborted) return undefined;
        own = lead();
        return new Promise((/** @type {(value: void) => void} */ go) => (release = go));
      });
    } catch {
      // Called off, or another tab has taken it away while this one was asleep.
    }
    follow(own);
  }

  async function stayInLine() {
    while (!left.signal.aborted) {
      inLine = new AbortController();
      await leadOnce({ signal: inLine.signal });
      await stealing;
    }
  }

  /** The tab that has the connection is asleep, and keeps it from those that are not. */
  function takeOver() {
    if (document.hidden || hub) return;
    stealing = leadOnce({ steal: true });
    inLine.abort();
  }

  async function enter() {
    if (channel === null) {
      lead();
      return;
    }
    channel.onmessage = ({ data }) => {
      if (left.signal.aborted || !isStillOf()) return;
      if (data.kind === "refused") void gate.refused();
      else if (data.kind === "yield") takeOver();
      else if ("tab" in data) hear(data);
      else if (!hub) tab.receive(data);
    };
    try {
      await whileHere(lifeOf(id)); // for the hub to know when this tab is gone, however that happens
    } catch {
      lead(); // the browser gives out no locks here
      return;
    }
    if (left.signal.aborted) return;
    tab.join();
    void stayInLine();
  }

  /** @param {Asking} message */
  function hear(message) {
    if (!hub) return;
    void hub.receive(message);
    if (watched.has(message.tab)) return;
    watched.add(message.tab);
    void navigator.locks
      .request(lifeOf(message.tab), { signal: left.signal }, () => {
        watched.delete(message.tab);
        hub?.left(message.tab);
      })
      .catch(() => {});
  }

  /** Hold a lock for as long as the tab is here. @param {string} lock @returns {Promise<void>} once it is held */
  function whileHere(lock) {
    return new Promise((go, fail) => {
      const untilLeft = () => {
        go();
        return new Promise((end) => left.signal.addEventListener("abort", end));
      };
      navigator.locks.request(lock, untilLeft).catch(fail);
    });
  }

  /** @param {string} tabId */
  function lifeOf(tabId) {
    return `${name} ${tabId}`;
  }

  void enter();
  return {
    tab,
    hasLeft: () => left.signal.aborted,
    leave() {
      if (left.signal.aborted) return;
      follow(hub);
      left.abort();
      inLine.abort();
      release();
      tab.close();
      channel?.close();
    },
  };
}

/** @param {() => void} act @param {number} milliseconds @returns {() => void} calls it off */
function later(act, milliseconds) {
  const timer = setTimeout(act, milliseconds);
  return () => clearTimeout(timer);
}

function newId() {
  return Math.random().toString(36).slice(2);
}
