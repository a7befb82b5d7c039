/** An exact, live copy of the orders, and writes to them that are done once. */

export { liveOrders } from "./live-orders.js";
export { AccessEnded, HistoryLost, LiveOrdersError, OutcomeUnknown, Refused } from "./errors.js";
