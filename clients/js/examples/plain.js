// The ten newest of the pending orders, live, in a page that the gateway serves (WEB_DIR).
import { liveOrders } from "/clients/live-orders/index.js";

const orders = liveOrders(location.origin, { filter: { status: "pending" }, window: { limit: 10 } });
orders.subscribe(({ rows, status }) => {
  document.getElementById("status").textContent = `${rows.size} pending, ${status.phase}`;
  const items = [...rows.values()].map((order) => {
    const item = document.createElement("li");
    item.textContent = String(order.customer_name);
    return item;
  });
  document.getElementById("orders").replaceChildren(...items);
});
