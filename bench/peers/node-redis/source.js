// Reads the change stream and emits each change through Redis to the processes that have the clients.
import process from "node:process";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { MongoClient } from "mongodb";
import { createClient } from "redis";
import { Server } from "socket.io";

const OPERATIONS = { insert: "INSERT", update: "UPDATE", replace: "UPDATE", delete: "DELETE" };

const client = await new MongoClient(process.env.MONGODB_URI).connect();
const redis = await createClient({ url: process.env.REDIS_URL }).connect();
const io = new Server({ adapter: createAdapter(redis) });

const kinds = { $match: { operationType: { $in: Object.keys(OPERATIONS) } } };
const stream = client.db().collection("orders").watch([kinds], { fullDocument: "updateLookup" });
stream.once("resumeTokenChanged", () => console.log("ready"));
stream.on("change", (change) => {
  io.emit("orderUpdate", {
    operation: OPERATIONS[change.operationType],
    id: String(change.documentKey._id),
    data: change.fullDocument ?? null,
    at: change.wallTime,
  });
});
