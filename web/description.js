// @ts-check
/** A change in words: which order, and what happened to it. */

import { differences, nameOf, shortId, textOf } from "./order.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {{ kind: "insert" | "update" | "delete" | "left", title: string, detail: string }} Description */

/**
 * @param {import("./envelope.js").Envelope} envelope
 * @param {Order | null} before the order as this page had it
 * @returns {Description}
 */
export function describe(envelope, before) {
  const { operation, id, data, left } = envelope;
  const title = nameOf(data ?? before) || `Order ${shortId(id)}`;
  if (left) return { kind: "left", title, detail: "no longer among the orders shown" };
  if (operation === "DELETE") return { kind: "delete", title, detail: wasOf(data ?? before) };
  if (operation === "UPDATE") return { kind: "update", title, detail: changeOf(before, data) };
  return { kind: "insert", title, detail: textOf(data?.status, 40) || "without status" };
}

/** @param {Order | null} before @param {Order | null} after */
function changeOf(before, after) {
  const changed = differences(before, after);
  const [only] = changed;
  if (only?.field === "status" && changed.length === 1) return `${only.from || "–"} → ${only.to || "–"}`;
  if (changed.length > 0)
    return changed.map(({ label, from, to }) => `${label} ${from || "–"} → ${to || "–"}`).join(", ");
  if (!before) return `now ${textOf(after?.status, 40) || "changed"}`;
  return "written again, reads the same";
}

/** @param {Order | null} order */
function wasOf(order) {
  const status = textOf(order?.status, 40);
  return status ? `was ${status}` : "";
}
