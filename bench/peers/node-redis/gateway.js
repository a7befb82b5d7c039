// Serves the source's events to the clients, and lets them recover missed ones from the stream in Redis.
import { createServer } from "node:http";
import process from "node:process";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import express from "express";
import { createClient } from "redis";
import { Server } from "socket.io";

const redis = await createClient({ url: process.env.REDIS_URL }).connect();
const app = express().disable("x-powered-by");
const http = createServer(app);
new Server(http, {
  adapter: createAdapter(redis),
  connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
  serveClient: false,
});

app.get("/readyz", (_request, response) => response.json({ ready: true }));
http.listen(Number(process.env.PORT), "127.0.0.1", 4096);
