// The peer that most people would write first: REST, change stream and Socket.IO in one process.
//
// It keeps to what its libraries recommend for production: one emit per change (Socket.IO encodes it once for all
// websockets), no compression, no ETags, the driver's own connection pool. It has no recovery, no filters, no ordering
// across processes and no bound for slow clients.
import { createServer } from "node:http";
import process from "node:process";
import express from "express";
import { MongoClient, ObjectId } from "mongodb";
import { Server } from "socket.io";

const STATUSES = new Set(["pending", "shipped", "delivered"]);
const OPERATIONS = { insert: "INSERT", update: "UPDATE", replace: "UPDATE", delete: "DELETE" };

const client = await new MongoClient(process.env.MONGODB_URI).connect();
const orders = client.db().collection("orders");
const app = express().disable("x-powered-by").set("etag", false);
const http = createServer(app);
const io = new Server(http, { serveClient: false });
const streams = new Set();

app.get("/readyz", (_request, response) => response.json({ ready: true }));

app.get("/api/orders", async (request, response) => {
  const limit = Math.min(Number(request.query.limit) || 50, 500);
  response.json(await orders.find().sort({ _id: -1 }).limit(limit).toArray());
});

app.get("/api/orders/events", (request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.write("event: connected\ndata: {}\n\n");
  streams.add(response);
  request.on("close", () => streams.delete(response));
});

app.get("/api/orders/:id", async (request, response) => {
  const order = ObjectId.isValid(request.params.id) && (await orders.findOne({ _id: new ObjectId(request.params.id) }));
  if (order) response.json(order);
  else response.status(404).json({ title: "There is no such order." });
});

app.post("/api/orders", express.json(), async (request, response) => {
  const { customer_name, product_name, status = "pending" } = request.body ?? {};
  if (![customer_name, product_name].every((text) => typeof text === "string" && text) || !STATUSES.has(status)) {
    response.status(400).json({ title: "The order is not valid." });
    return;
  }
  const order = { customer_name, product_name, status, updated_at: new Date() };
  await orders.insertOne(order);
  response.status(201).location(`/api/orders/${order._id}`).json(order);
});

function announce(change) {
  const envelope = {
    operation: OPERATIONS[change.operationType],
    id: String(change.documentKey._id),
    data: change.fullDocument ?? null,
    at: change.wallTime,
  };
  io.emit("orderUpdate", envelope);
  if (streams.size > 0) {
    const text = `event: orderUpdate\ndata: ${JSON.stringify(envelope)}\n\n`;
    for (const stream of streams) stream.write(text);
  }
}

const kinds = { $match: { operationType: { $in: Object.keys(OPERATIONS) } } };
orders.watch([kinds], { fullDocument: "updateLookup" }).on("change", announce);
http.listen(Number(process.env.PORT), "127.0.0.1", 4096);
process.on("SIGUSR2", () => globalThis.gc?.()); // so that the bench measures memory in use, not garbage
