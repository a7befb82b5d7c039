// @ts-check
/** The one connection of all tabs of a browser: tells each what comes, and follows what any of them wants to see. */

import { covers, widest } from "./view.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */
/** @typedef {import("./live.js").Filter} Filter */
/** @typedef {import("./live.js").Greeting} Greeting */
/** @typedef {import("./live.js").Listener} Listener */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {import("./live.js").Transport} Transport */
/**
 * What tabs say. `cursor`: how far the orders of the tab are; `ask`: the number of the question.
 * @typedef {{ kind: "join", tab: string, cursor: string | null, filter: Filter }
 *   | { kind: "filter", tab: string, filter: Filter, ask: number }
 *   | { kind: "retry", tab: string, doubt: string | null }} Asking
 */
/** What the connection is like: `greeting` is null while it is not open. @typedef {{ greeting: Greeting | null, transport: Transport | null, stale: string | null, why: string | null, retryAt: number | null }} State */
/**
 * What the hub says. `lead`: it begins; `end`: it ends; `alive`: it has heard; `scope`: it follows these orders (`since`:
 * from there on, absent: as before); `welcome`: the tab's `changes` since it was `from`, null: they are not kept, and its
 * list has to be as new as `cursor`; `tell`: the connection's own events.
 * @typedef {{ kind: "lead" | "end" | "alive" | "yield" | "refused", hub: string }
 *   | { kind: "scope", hub: string, filter: Filter, since?: string | null }
 *   | { kind: "answer", hub: string, to: string, ask: number, since: string | null }
 *   | { kind: "welcome", hub: string, to: string, from: string | null, cursor: string | null, changes: Envelope[] | null,
 *       scope: Filter, state: State }
 *   | { kind: "tell", hub: string, what: keyof Listener, values: any[] }} Telling
 */

/** A tab that is gone may come back, and a reload is both. */
const NARROW_MS = 5000;
/** Signs of life are passed on no more often than that. */
const HEARD_MS = 1000;
/** All tabs may see at the same time that the network has gone or come. */
const BETWEEN_RETRIES_MS = 1000;

export class Hub {
  #id;
  #recent;
  #scope;
  #post;
  #now;
  #later;
  /** What each tab wants to see. @type {Map<string, Filter>} */
  #tabs = new Map();
  /** @type {Promise<Live>} */
  #live;
  /** Changes of the scope, one after the other. @type {Promise<unknown>} */
  #scoping = Promise.resolve();
  /** @type {State} */
  #state = { greeting: null, transport: null, stale: null, why: null, retryAt: null };
  #toldAt = 0;
  #retriedAt = -Infinity;
  #closed = false;

  /**
   * @param {{
   *   id: string,
   *   recent: import("./recent.js").Recent,
   *   scope: Filter,
   *   position: () => string | null,
   *   connect: (following: { position: () => string | null, filter: Filter, listener: Listener }) => Promise<Live>,
   *   post: (message: Telling) => void,
   *   now: () => number,
   *   later: (act: () => void, milliseconds: number) => void,
   * }} parts `recent` and `scope` are those of the tab that takes over, so that it goes on where the one before has ended;
   *   `position` is how far that tab is, should it be the first one
   */
  constructor({ id, recent, scope, position, connect, post, now, later }) {
    this.#id = id;
    this.#recent = recent;
    this.#scope = scope;
    this.#post = post;
    this.#now = now;
    this.#later = later;
    const here = () => {
      if (recent.position === null) recent.begin(position());
      return recent.position;
    };
    here();
    this.#live = connect({ position: here, filter: scope, listener: this.#listener() });
  }

  /** @param {Asking} message */
  async receive(message) {
    if (this.#closed) return;
    this.#post({ kind: "alive", hub: this.#id });
    if (message.kind === "retry") {
      await this.#retry(message.doubt);
      return;
    }
    this.#tabs.set(message.tab, message.filter);
    await this.#cover(message.filter);
    if (this.#closed || this.#tabs.get(message.tab) !== message.filter) return; // it has asked for something else since
    if (message.kind === "filter") {
      const since = this.#recent.position;
      this.#post({ kind: "answer", hub: this.#id, to: message.tab, ask: message.ask, since });
    } else {
      this.#welcome(message.tab, message.cursor);
    }
  }

  /** A tab has gone. @param {string} tab */
  left(tab) {
    if (this.#tabs.delete(tab)) this.#narrowSoon();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    void this.#live.then((live) => live.close());
    this.#post({ kind: "end", hub: this.#id });
  }

  /** @param {string} to @param {string | null} from */
  #welcome(to, from) {
    const [changes, cursor] = [this.#recent.after(from), this.#recent.position];
    this.#post({
      kind: "welcome",
      hub: this.#id,
      to,
      from,
      cursor,
      changes,
      scope: this.#scope,
      state: { ...this.#state },
    });
  }

  /** See to it that the connection is about all orders of this filter. @param {Filter} filter */
  #cover(filter) {
    this.#scoping = this.#scoping.then(async () => {
      this.#narrowSoon();
      if (covers(this.#scope, filter)) return;
      await this.#follow(widest([...this.#tabs.values()]), true);
    });
    return this.#scoping;
  }

  #narrowSoon() {
    this.#later(() => {
      this.#scoping = this.#scoping.then(async () => {
        const needed = widest([...this.#tabs.values()]);
        if (this.#tabs.size > 0 && !covers(needed, this.#scope)) await this.#follow(needed, false);
      });
    }, NARROW_MS);
  }

  /** @param {Filter} scope @param {boolean} isWider */
  async #follow(scope, isWider) {
    const live = await this.#live;
    if (this.#closed) return;
    this.#scope = scope;
    const since = (await live.filter(scope)) ?? this.#recent.position;
    if (isWider) this.#recent.forgetUpTo(since);
    this.#post({ kind: "scope", hub: this.#id, filter: scope, ...(isWider ? { since } : {}) });
  }

  /** @param {string | null} doubt */
  async #retry(doubt) {
    const live = await this.#live;
    if (this.#closed || this.#now() - this.#retriedAt < BETWEEN_RETRIES_MS) return;
    this.#retriedAt = this.#now();
    live.retry(doubt);
  }

  /** @returns {Listener} */
  #listener() {
    const state = this.#state;
    /** @param {keyof Listener} what @param {any[]} values */
    const tell = (what, ...values) => {
      if (this.#closed) return;
      this.#toldAt = this.#now();
      this.#post({ kind: "tell", hub: this.#id, what, values });
    };
    return {
      greeted: (greeting, continued) => {
        Object.assign(state, { greeting, stale: null, why: null, retryAt: null });
        if (!continued) this.#recent.begin(greeting?.cursor ?? null);
        tell("greeted", greeting, continued);
      },
      changed: (envelope) => {
        if (this.#recent.add(envelope)) tell("changed", envelope);
      },
      reached: (cursor) => {
        this.#recent.reached(cursor);
        tell("reached", cursor);
      },
      mustResync: (reason, cursor, incident) => {
        this.#recent.begin(cursor);
        tell("mustResync", reason, cursor, incident);
      },
      stale: (why) => {
        state.stale = why;
        tell("stale", why);
      },
      heard: () => {
        if (this.#now() - this.#toldAt >= HEARD_MS) tell("heard");
      },
      transport: (name) => {
        state.transport = name;
        tell("transport", name);
      },
      lost: (why) => {
        Object.assign(state, { greeting: null, why });
        tell("lost", why);
      },
      retrying: (at) => {
        state.retryAt = at;
        tell("retrying", at);
      },
    };
  }
}
