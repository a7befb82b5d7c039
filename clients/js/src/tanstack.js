// @ts-check
/** The orders as a collection of TanStack DB: live queries over the exact copy, in React, Vue, Solid and Svelte. */

/** @typedef {import("./index.d.ts").LiveOrders} LiveOrders */
/** @typedef {import("./index.d.ts").Order} Order */
/** @typedef {{ key: string, modified: Order, changes: Record<string, unknown> }} Mutation */
/** @typedef {{ transaction: { mutations: readonly Mutation[] } }} Mutations */

/**
 * What `createCollection` takes. Optimistic rows are TanStack's own here: each mutation ends when the copy has reached the
 * place of its write in the stream, so that no row flickers. An order that is inserted has a temporary `_id` until then,
 * of your choice; the server gives it another.
 * @param {{ orders: LiveOrders, id?: string }} options
 */
export function ordersCollectionOptions({ orders, id = "orders" }) {
  return {
    id,
    getKey: (/** @type {Order} */ order) => order._id,
    sync: { rowUpdateMode: /** @type {const} */ ("full"), sync: (/** @type {Sink} */ sink) => follow(orders, sink) },
    onInsert: async (/** @type {Mutations} */ { transaction }) => {
      for (const { modified } of transaction.mutations) await orders.create(withoutId(modified));
      await orders.settled();
    },
    onUpdate: async (/** @type {Mutations} */ { transaction }) => {
      for (const { key, changes } of transaction.mutations) await orders.update(key, changes);
      await orders.settled();
    },
    onDelete: async (/** @type {Mutations} */ { transaction }) => {
      for (const { key } of transaction.mutations) await orders.delete(key);
      await orders.settled();
    },
  };
}

/**
 * The functions by which a collection is filled.
 * @typedef {{
 *   begin: () => void,
 *   write: (message: any) => void,
 *   commit: () => unknown,
 *   markReady: () => void,
 *   markError: (error?: unknown) => void,
 *   truncate: () => void,
 * }} Sink
 */

/** @param {LiveOrders} orders @param {Sink} sink @returns {() => void} */
function follow(orders, { begin, write, commit, markReady, markError, truncate }) {
  /** What the collection has. @type {Map<string, Order> | null} */
  let known = null;
  return orders.subscribe(({ status, change, reloaded }) => {
    if (reloaded || (known === null && status.phase === "live")) {
      begin();
      truncate();
      for (const value of orders.copy.values()) write({ type: "insert", value });
      commit();
      known = new Map(orders.copy);
      markReady();
    } else if (known !== null && change !== null) {
      // In a window, the change of one order may bring another one in, or push it out.
      const ids = orders.window ? differing(known, orders.copy) : [change.id];
      begin();
      for (const id of ids) put(id, known);
      commit();
    } else if (known === null && status.phase === "ended") {
      markError(new Error(status.reason ?? "ended"));
    }
  });

  /** @param {string} id @param {Map<string, Order>} had */
  function put(id, had) {
    const value = orders.copy.get(id);
    if (value !== undefined) {
      write({ type: had.has(id) ? "update" : "insert", value });
      had.set(id, value);
    } else if (had.delete(id)) write({ type: "delete", key: id });
  }
}

/** @param {ReadonlyMap<string, Order>} before @param {ReadonlyMap<string, Order>} after @returns {string[]} */
function differing(before, after) {
  const gone = [...before.keys()].filter((id) => !after.has(id));
  return [...gone, ...[...after.keys()].filter((id) => before.get(id) !== after.get(id))];
}

/** @param {Order} order @returns {Record<string, unknown>} */
function withoutId({ _id, ...fields }) {
  void _id;
  return fields;
}
