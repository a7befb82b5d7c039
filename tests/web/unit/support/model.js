/** A database with its list and its stream of changes, as the gateway serves them, in memory; every delay and fault is random. */

/** @typedef {{ _id: string, status: string }} Doc */
/** @typedef {{ position: number, id: string, before: Doc | null, after: Doc | null }} Change */

const STATUSES = ["pending", "shipped", "delivered"];

/** A small generator of numbers in [0, 1), so that a failure can be repeated. @param {number} seed */
export function generator(seed) {
  let state32 = seed;
  return () => {
    state32 = (state32 * 1664525 + 1013904223) >>> 0;
    return state32 / 2 ** 32;
  };
}

export const tick = () => new Promise((go) => setImmediate(go));

/** @type {Map<string, number>} */
const ranks = new Map(); // each is asked for thousands of times

/** MongoDB lists dates above ObjectIds and strings below, whatever their texts. @param {string} id */
function rank(id) {
  const known = ranks.get(id);
  if (known !== undefined) return known;
  const found = id.startsWith("~t") ? 2 : /^[0-9a-f]{24}$/.test(id) ? 1 : 0;
  ranks.set(id, found);
  return found;
}

/** @param {string} one @param {string} other */
export function listedBefore(one, other) {
  if (rank(one) !== rank(other)) return rank(other) - rank(one);
  // Dates in an order that their texts do not show.
  const [a, b] = rank(one) === 2 ? [reversed(one), reversed(other)] : [one, other];
  return a < b ? 1 : a > b ? -1 : 0;
}

/** @param {string} text */
const reversed = (text) => [...text].reverse().join("");

export class Model {
  /** @type {Change[]} */
  history = [];
  /** @type {Map<string, Doc>} */
  docs = new Map();
  inFlight = 0;
  epoch = 1;
  /** Where the epoch began. */
  start = 0;

  /** @param {() => number} random @param {{ foreign: boolean, faults: boolean }} options */
  constructor(random, { foreign, faults }) {
    this.random = random;
    this.foreign = foreign;
    this.faults = faults;
  }

  get position() {
    return this.history.length;
  }

  /** @param {number} position */
  cursor(position) {
    return `e${this.epoch}.${position}-0`;
  }

  /** @param {number} below */
  pick(below) {
    return Math.floor(this.random() * below);
  }

  newId() {
    const number = this.pick(10_000);
    if (this.foreign && this.random() < 0.3) return this.random() < 0.5 ? `~t${number}` : `text ${number}`;
    return (this.random() < 0.7 ? 20_000 + this.position : number).toString(16).padStart(24, "0");
  }

  /** @param {Map<string, Doc>} docs @param {string | null} status */
  listed(docs, status) {
    const passing = [...docs.values()].filter((doc) => status === null || doc.status === status);
    return passing.sort((one, other) => listedBefore(one._id, other._id));
  }

  write() {
    const ids = this.listed(this.docs, null).map(({ _id }) => _id);
    const kind = this.random();
    if (ids.length < 4 || kind < 0.3) {
      const id = this.newId();
      this.put(id, { _id: id, status: STATUSES[this.pick(3)] ?? "" });
    } else {
      // The newest are deleted and old ones changed more often than others: that is where windows go wrong.
      const id = ids[this.pick(this.random() < 0.5 ? Math.min(6, ids.length) : ids.length)] ?? "";
      this.put(id, kind < 0.65 ? null : { _id: id, status: STATUSES[this.pick(3)] ?? "" });
    }
  }

  /** @param {string} id @param {Doc | null} after */
  put(id, after) {
    this.history.push({ position: this.position + 1, id, before: this.docs.get(id) ?? null, after });
    if (after) this.docs.set(id, after);
    else this.docs.delete(id);
  }

  /** History breaks: perhaps the collection was dropped, perhaps its record was lost. */
  breakHistory() {
    const ids = this.random() < 0.5 ? [...this.docs.keys()] : [];
    for (const id of ids) this.put(id, null);
    this.epoch += 1;
    this.start = this.position;
  }

  /** The list as of a moment ago. @param {import("../../../../web/sync.js").Query} query */
  async list({ limit, filter, after }) {
    this.inFlight += 1;
    const lag = this.faults ? this.pick(4) : 0;
    for (let wait = this.pick(4); wait > 0; wait -= 1) await tick();
    const at = Math.max(this.start, this.position - lag);
    const cursor = this.cursor(at);
    const docs = new Map();
    for (const { id, after: doc } of this.history.slice(0, at)) doc ? docs.set(id, doc) : docs.delete(id);
    for (let wait = this.pick(4); wait > 0; wait -= 1) await tick();
    this.inFlight -= 1;
    if (this.faults && this.random() < 0.1) throw Object.assign(new Error("Lost."), { late: this.random() < 0.5 });
    const below = this.listed(docs, filter.status?.[0] ?? null).filter(
      ({ _id }) => !after || listedBefore(markedBy(after), _id) < 0,
    );
    const orders = below.slice(0, limit);
    const last = orders.at(-1)?._id ?? "";
    const next = below.length > limit ? (rank(last) === 1 ? last : `mark of ${last}`) : null;
    return { orders, cursor, next };
  }

  /** @param {string} id */
  async get(id) {
    await tick();
    const order = this.docs.get(id) ?? null;
    return { order, cursor: order && this.cursor(this.position) };
  }
}

/** @param {string} mark */
export const markedBy = (mark) => mark.replace(/^mark of /, "");

/** One client's connection to the stream, with the server's filter. */
export class Stream {
  delivered = 0;
  epoch = 1;
  open = false;
  /** @type {string | null} */
  status = null;

  /**
   * @param {Model} model
   * @param {Omit<import("../../../../web/live.js").Following, "gate">} following
   * @param {import("../../../../web/view.js").Filter} [filter]
   */
  constructor(model, following, filter = {}) {
    this.model = model;
    this.following = following;
    this.status = filter.status?.[0] ?? null;
    this.connect();
  }

  /** @param {boolean} [forgotten] the server no longer has what the client misses */
  connect(forgotten = false) {
    const { model, following } = this;
    const since = following.position();
    const [, epoch, position] = /^e(\d+)\.(\d+)-/.exec(since ?? "") ?? [];
    const lost = since !== null && (forgotten || Number(epoch) !== model.epoch);
    this.open = true;
    this.epoch = model.epoch;
    this.delivered = since === null || lost ? model.position : Number(position);
    following.listener.greeted({ id: "", server: "", cursor: model.cursor(this.delivered) }, since !== null);
    if (lost) following.listener.mustResync("history_lost", model.cursor(this.delivered));
  }

  close() {
    this.open = false;
    this.closed = true;
  }

  lose() {
    if (this.open) this.following.listener.lost("broken");
    this.open = false;
  }

  /** @param {import("../../../../web/view.js").Filter} filter */
  async filter(filter) {
    this.status = filter.status?.[0] ?? null;
    await tick();
    if (this.open) this.connect();
    return null;
  }

  /** @param {string | null} doubt */
  retry(doubt) {
    if (doubt !== null) this.lose();
    if (!this.open) this.connect();
  }

  /** Deliver the next change, as it looks through the filter. @returns {boolean} whether there was one */
  deliver() {
    if (this.open && this.epoch !== this.model.epoch) {
      this.epoch = this.model.epoch;
      this.delivered = this.model.start;
      this.following.listener.mustResync("collection_dropped", this.model.cursor(this.delivered));
    }
    const change = this.open ? this.model.history[this.delivered] : undefined;
    if (!change) return false;
    this.delivered += 1;
    const { id, position, before, after } = change;
    const fits = (/** @type {Doc | null} */ doc) =>
      doc !== null && (this.status === null || doc.status === this.status);
    const operation = after === null ? "DELETE" : before === null ? "INSERT" : "UPDATE";
    const common = { id, cursor: this.model.cursor(position), at: "2026-01-01T00:00:00.000Z" };
    const { listener } = this.following;
    if (after && !fits(after)) {
      if (fits(before)) listener.changed({ ...common, operation: "DELETE", data: null, left: true });
      else listener.reached(common.cursor);
      return true;
    }
    const data = this.model.faults && this.model.random() < 0.03 ? null : after;
    listener.changed({ ...common, operation, data });
    return true;
  }
}
