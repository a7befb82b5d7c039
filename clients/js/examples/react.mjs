// A list of the pending orders in React, live.
import { createElement as h, useSyncExternalStore } from "react";
import { storeOf } from "live-orders/react";

export function Pending({ store }) {
  const { rows, status } = useSyncExternalStore(...store);
  const items = [...rows.values()].map((order) => h("li", { key: order._id }, String(order.customer_name)));
  return h("section", { "data-phase": status.phase }, h("ul", null, items));
}

export const storeOfPending = (orders) => storeOf(orders);
