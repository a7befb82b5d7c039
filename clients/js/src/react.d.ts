import type { LiveOrders, View } from "./index.js";

/** The two arguments of `useSyncExternalStore`. */
export function storeOf(orders: LiveOrders): [subscribe: (changed: () => void) => () => void, getSnapshot: () => View];
