// Reads a backlog of the change stream with MongoDB's driver and does nothing with it; talks like `bench/load/commands.py`.
import process from "node:process";
import { createInterface } from "node:readline";
import { MongoClient, Timestamp } from "mongodb";

const client = await new MongoClient(process.argv[2]).connect();
let stream;

const commands = {
  async open({ since: [t, i] }) {
    stream = client.db().collection("orders").watch([], { startAtOperationTime: new Timestamp({ t, i }) });
    return {};
  },
  async drain({ count, skipped }) {
    for (let n = 0; n < skipped; n += 1) await stream.next();
    const started = performance.now();
    const before = process.cpuUsage();
    for (let n = skipped; n < count; n += 1) await stream.next();
    const { user, system } = process.cpuUsage(before);
    const seconds = (performance.now() - started) / 1000;
    return { events: count - skipped, seconds, cpu: (user + system) / 1e6 };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...command } = JSON.parse(line);
  const answer = await commands[name](command).catch((error) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
