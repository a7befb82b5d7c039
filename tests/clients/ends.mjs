// Waits for a copy that the server refuses, and prints why `live` rejects.
import { liveOrders } from "../../clients/js/src/index.js";

const orders = liveOrders(process.argv[2], { filter: { status: "lost" } });
const error = await orders.live().catch((reason) => reason);
process.stdout.write(`${error.name} ${error.status} ${error.errors[0].field}\n`);
