// What a program in TypeScript makes of the packed library: it is compiled, never run.
import { createCollection } from "@tanstack/db";
import { LiveOrdersError, liveOrders, type Place, type View } from "live-orders";
import { storeOf } from "live-orders/react";
import { ordersCollectionOptions } from "live-orders/tanstack";

const first = liveOrders("http://localhost:3000", { window: { sort: "-updated_at", limit: 20 } });
const after: Place | null = await first.nextPlace();
const orders = liveOrders("http://localhost:3000", { window: { sort: "-updated_at", limit: 20, after } });
const [subscribe, current] = storeOf(orders);
const view: View = current();
subscribe(() => {})();
const collection = createCollection(ordersCollectionOptions({ orders }));
await collection.preload();
if (view.status.phase === "ended") throw new LiveOrdersError(view.status.reason ?? "");
// @ts-expect-error there is no such order
liveOrders("http://localhost:3000", { window: { sort: "price", limit: 20 } });
