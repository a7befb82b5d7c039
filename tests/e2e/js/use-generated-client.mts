// Uses the client that openapi-fetch makes of generated types: the compiler checks each call, the gateway answers it.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });

const created = await client.POST("/api/orders", { body: { customer_name: "Ada Lovelace", product_name: "Engine" } });
if (created.data === undefined) throw new Error(JSON.stringify(created.error));
const path = { id: created.data._id };

const changed = await client.PUT("/api/orders/{id}", { params: { path }, body: { status: "shipped" } });
const listed = await client.GET("/api/orders", { params: { query: { limit: 1, status: ["shipped"] } } });
const read = await client.GET("/api/orders/{id}", { params: { path } });
const deleted = await client.DELETE("/api/orders/{id}", { params: { path } });
const missing = await client.GET("/api/orders/{id}", { params: { path } });

// @ts-expect-error: the description does not allow this status
const refused = await client.PUT("/api/orders/{id}", { params: { path }, body: { status: "lost" } });

console.log(
  JSON.stringify({
    changed: changed.data?.status,
    listed: listed.data?.map((order) => order._id === path.id),
    read: read.data?.customer_name,
    deleted: deleted.data?._id === path.id,
    missing: missing.error?.type,
    refused: refused.error?.errors?.[0]?.field,
  }),
);
