// @ts-check
/** One tab's end of the connection that all tabs of a browser share: misses nothing when another tab takes it over. */

import { Recent } from "./recent.js";

/** @typedef {import("./hub.js").Asking} Asking */
/** @typedef {import("./hub.js").Telling} Telling */
/** @typedef {import("./live.js").Filter} Filter */

/** A hub answers at once; one that does not is in a tab that the browser has put to sleep. */
export const ANSWERS_MS = 3000;
/** Another tab takes over in less. */
const TAKEN_OVER_MS = 1000;

export class Tab {
  #id;
  #position;
  #filter;
  #listener;
  #send;
  #later;
  #asleep;
  /** The hub that has welcomed this tab, or is to. @type {string | null} */
  #hub = null;
  #joined = false;
  /** What comes of the stream. */
  recent = new Recent();
  /** The orders that the hub follows. @type {Filter} */
  scope;
  /** Where the answers go. @type {Map<number, (since: string | null) => void>} */
  #asked = new Map();
  #questions = 0;
  /** How to stop waiting for an answer. @type {(() => void) | null} */
  #waiting = null;
  /** Whether the connection was open when last heard of. */
  #open = false;
  /** How to stop waiting for it to be open again. @type {() => void} */
  #settled = () => {};

  /**
   * @param {{
   *   id: string,
   *   position: () => string | null,
   *   filter: Filter,
   *   listener: import("./live.js").Listener,
   *   send: (message: Asking) => void,
   *   later: (act: () => void, milliseconds: number) => () => void,
   *   asleep: () => void,
   * }} parts `later` returns how to call it off; `asleep` is called when no hub answers
   */
  constructor({ id, position, filter, listener, send, later, asleep }) {
    this.#id = id;
    this.#position = position;
    this.#filter = this.scope = filter;
    this.#listener = listener;
    this.#send = send;
    this.#later = later;
    this.#asleep = asleep;
  }

  join() {
    this.#joined = false;
    this.#ask({ kind: "join", tab: this.#id, cursor: this.#position(), filter: this.#filter });
  }

  /** @param {Filter} filter @returns {Promise<string | null>} from where on it is in force */
  filter(filter) {
    this.#filter = filter;
    if (!this.#joined) {
      this.join(); // a welcome for the one before would be about other orders
      return Promise.resolve(null);
    }
    this.#questions += 1;
    const ask = this.#questions;
    this.#ask({ kind: "filter", tab: this.#id, filter, ask });
    return new Promise((answer) => this.#asked.set(ask, answer));
  }

  /** @param {string | null} doubt */
  retry(doubt) {
    this.#ask({ kind: "retry", tab: this.#id, doubt });
  }

  close() {
    this.#waiting?.();
    this.#settled();
    this.#joined = false;
    for (const answer of this.#asked.values()) answer(null);
    this.#asked.clear();
  }

  /** @param {Telling} message */
  receive(message) {
    if (message.kind === "lead") {
      this.#hub = message.hub;
      this.join();
      return;
    }
    if (message.hub !== this.#hub) {
      if (this.#hub !== null || message.kind !== "welcome" || message.to !== this.#id) return;
      this.#hub = message.hub;
    }
    this.#waiting?.();
    this.#waiting = null;
    if (message.kind === "end") {
      this.#hub = null;
      this.join();
    } else if (message.kind === "welcome" && message.to === this.#id) this.#welcomed(message);
    else if (message.kind === "answer" && message.to === this.#id) {
      this.#asked.get(message.ask)?.(this.recent.notBefore(message.since));
      this.#asked.delete(message.ask);
    } else if (message.kind === "scope") {
      this.scope = message.filter;
      if (message.since !== undefined) this.recent.forgetUpTo(message.since);
    } else if (message.kind === "tell" && this.#joined) this.#told(message);
  }

  /** @param {Asking} message */
  #ask(message) {
    this.#waiting ??= this.#later(() => {
      this.#waiting = null;
      this.#asleep();
    }, ANSWERS_MS);
    this.#send(message);
  }

  /** @param {Telling & { kind: "welcome" }} welcome */
  #welcomed({ from, cursor, changes, scope, state }) {
    const listener = this.#listener;
    const continued = changes !== null;
    this.#joined = true;
    this.scope = scope;
    // What this tab has been told, perhaps of other orders, it is not told again: then the list has to have it.
    const since = continued && this.recent.position === from ? from : this.recent.goOn(continued ? from : cursor);
    this.#settled();
    if (state.transport) listener.transport(state.transport);
    if (state.greeting) {
      this.#open = true;
      listener.greeted({ ...state.greeting, cursor: /** @type {string} */ (since) }, continued);
    } else this.#notOpen(continued, since, state);
    if (state.stale !== null) listener.stale(state.stale);
    for (const change of changes ?? []) if (this.recent.add(change)) listener.changed(change);
    // Asked of a hub that has gone: this one was told of the filter as the tab joined.
    for (const answer of this.#asked.values()) answer(since);
    this.#asked.clear();
  }

  /** @param {boolean} continued @param {string | null} cursor @param {import("./hub.js").State} state */
  #notOpen(continued, cursor, { why, retryAt }) {
    if (!continued && cursor !== null) this.#listener.mustResync(null, cursor);
    if (why !== null) {
      this.#lost(why);
      this.#listener.retrying(retryAt);
    } else if (this.#open) {
      this.#settled = this.#later(() => this.#lost("the tab that had the connection has gone"), TAKEN_OVER_MS);
    }
  }

  /** @param {string} why */
  #lost(why) {
    this.#open = false;
    this.#listener.lost(why);
  }

  /** @param {Telling & { kind: "tell" }} message */
  #told({ what, values: given }) {
    const values = [...given];
    const [first] = values;
    if (what === "greeted" || what === "lost") {
      this.#settled();
      this.#open = what === "greeted";
    }
    if (what === "changed" && !this.recent.add(first)) return;
    if (what === "reached") this.recent.reached(first);
    if (what === "greeted" && !values[1] && first) values[0] = { ...first, cursor: this.recent.goOn(first.cursor) };
    if (what === "mustResync") values[1] = this.recent.goOn(values[1]);
    /** @type {(...values: any[]) => void} */ (this.#listener[what])(...values);
  }
}
