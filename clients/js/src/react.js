// @ts-check
/** The orders for `useSyncExternalStore` of React: `const { rows, status } = useSyncExternalStore(...storeOf(orders))`. */

/**
 * @param {import("./index.d.ts").LiveOrders} orders
 * @returns {[subscribe: (changed: () => void) => () => void, getSnapshot: () => import("./index.d.ts").View]}
 */
export function storeOf(orders) {
  const subscribe = (/** @type {() => void} */ changed) => orders.subscribe(() => changed());
  return [subscribe, () => orders.view];
}
