// Prints what the JavaScript library tries, for each line that says what has connected (+) and what has not (-).
import { Choice } from "../../clients/js/src/transport-choice.js";

let text = "";
for await (const piece of process.stdin) text += piece;
for (const line of text.split("\n")) {
  const choice = new Choice(["websocket", "polling", "sse"]);
  let tried = choice.now[0];
  for (const each of line) {
    if (each === "+") tried += choice.succeeded() ? choice.now[0] : "";
    else tried += (choice.failed() ? "" : ".") + choice.now[0];
  }
  process.stdout.write(`${tried}\n`);
}
