// Says why the JavaScript library refuses a window, one of each line as JSON, or that it does not.
import { createInterface } from "node:readline";
import { liveOrders } from "../../clients/js/src/index.js";

for await (const line of createInterface({ input: process.stdin })) {
  let refusal = "";
  try {
    liveOrders("http://localhost:1", { window: JSON.parse(line) });
  } catch (error) {
    refusal = error.message;
  }
  process.stdout.write(`${refusal}\n`);
}
