// Prints how the JavaScript library compares each of the sorted orders with those after it: -1, 1, or null.
import { Sorting } from "../../clients/js/src/sorting.js";

let text = "";
for await (const piece of process.stdin) text += piece;
const { sort, orders } = JSON.parse(text);
const sorting = new Sorting(sort);
const sign = (found) => (found === null ? null : Math.sign(found));
const found = orders.map((one, at) => orders.slice(at + 1).map((other) => sign(sorting.compare(one, other))));
process.stdout.write(JSON.stringify(found));
