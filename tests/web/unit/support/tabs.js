/** The tabs of a browser with one connection to the model: their messages arrive late, but each sender's in order. */

import { Hub } from "../../../../web/hub.js";
import { OrderStore } from "../../../../web/store.js";
import { Sync } from "../../../../web/sync.js";
import { Tab } from "../../../../web/tab.js";
import { Stream, tick } from "./model.js";

/** @typedef {import("./model.js").Model} Model */

let count = 0;

/** One tab: a whole page without a document. */
export class OneTab {
  /** What arrives, oldest first. @type {any[]} */
  inbox = [];
  /** @type {Hub | null} */
  hub = null;
  /** The cursors of the changes that it has been told of. @type {string[]} */
  told = [];
  reads = 0;
  /** @type {string | null} */
  status = null;
  /** @type {Tab | null} */
  tab = null;

  /** @param {Tabs} tabs @param {Model} model */
  constructor(tabs, model) {
    this.tabs = tabs;
    this.model = model;
    count += 1;
    this.id = `tab ${count}`;
    this.store = new OrderStore(4 + model.pick(5), model.pick(4), 3, 1);
    this.sync = new Sync({
      store: this.store,
      fetchList: (query) => {
        this.reads += 1;
        return tabs.all.includes(this) ? model.list(query) : new Promise(() => {});
      },
      fetchOrder: (id) => model.get(id),
      follow: (following) => this.#follow(following),
      pause: async () => void (await tick()),
      onConnection: () => {},
      onNotice: () => {},
    });
  }

  /** @param {any} following */
  #follow({ position, filter, listener }) {
    this.position = position;
    const noted = {
      ...listener,
      changed: (/** @type {any} */ change) => {
        this.told.push(change.cursor);
        listener.changed(change);
      },
    };
    const send = (/** @type {any} */ message) =>
      this.hub ? void this.hub.receive(message) : this.tabs.send(this, message);
    const later = () => () => {};
    this.tab = new Tab({ id: this.id, position, filter, listener: noted, send, later, asleep: () => {} });
    this.tab.join();
    return { filter: (next) => this.tab.filter(next), retry: () => {}, close: () => {} };
  }

  /** It has got the lock. */
  lead() {
    count += 1;
    const { tab, tabs, model } = this;
    if (!tab) return;
    this.hub = new Hub({
      id: `hub ${count}`,
      recent: tab.recent.copy(),
      scope: tab.scope,
      position: this.position,
      connect: async (following) => {
        tabs.connections += 1;
        const stream = new Stream(model, following, following.filter);
        tabs.stream = stream;
        return stream;
      },
      post: (message) => {
        tab.receive(message);
        tabs.send(this, message);
      },
      now: () => 0,
      later: (act) => void tabs.timers.push(act),
    });
    tab.receive({ kind: "lead", hub: `hub ${count}` });
    tabs.send(this, { kind: "lead", hub: `hub ${count}` });
  }

  /** @returns {boolean} whether there was something */
  receive() {
    const message = this.inbox.shift();
    if (!message) return false;
    if ("tab" in message) {
      if (this.hub) void this.hub.receive(message);
    } else if (!this.hub) this.tab?.receive(message);
    return true;
  }
}

export class Tabs {
  /** @type {OneTab[]} the first one has the lock */
  all = [];
  /** @type {Stream | null} */
  stream = null;
  connections = 0;
  /** @type {(() => void)[]} */
  timers = [];

  /** @param {Model} model */
  constructor(model) {
    this.model = model;
  }

  /** @param {OneTab} sender @param {any} message */
  send(sender, message) {
    for (const each of this.all) if (each !== sender) each.inbox.push(structuredClone(message));
  }

  async open() {
    const one = new OneTab(this, this.model);
    this.all.push(one);
    void one.sync.start();
    return one;
  }

  /** The tab that has the connection is closed, or crashes: what it has sent arrives all the same. @param {OneTab} one */
  end(one) {
    this.all = this.all.filter((each) => each !== one);
    if (one.hub) this.stream = null;
    else this.all.find(({ hub }) => hub)?.hub?.left(one.id);
  }

  /** The next in line gets the lock. */
  elect() {
    const [first] = this.all;
    if (first?.tab && !this.all.some(({ hub }) => hub)) first.lead();
  }

  /** One message arrives somewhere. @returns {boolean} whether there was one */
  pass() {
    const waiting = this.all.filter(({ inbox }) => inbox.length > 0);
    return waiting[this.model.pick(waiting.length)]?.receive() ?? false;
  }
}
