// @ts-check
/** The form for a new order. Only the server validates it; its errors appear at the fields they name. */

import { part, write } from "./page.js";

/** @typedef {import("./writes.js").Result} Result */
/**
 * @param {(fields: import("./order.js").Order, control: HTMLButtonElement) => Promise<Result>} create
 */
export function createForm(create) {
  const form = part("compose", HTMLFormElement);
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
  const inputs = [
    part("customer_name", HTMLInputElement),
    part("product_name", HTMLInputElement),
    part("status", HTMLSelectElement),
  ];

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = inputs.map(({ value }) => value);
    const result = await create(Object.fromEntries(inputs.map(({ name, value }) => [name, value])), button);
    if (result === "not now") return;
    const errors = result === "done" ? new Map() : result.fields;
    for (const input of inputs) mark(input, errors.get(input.name) ?? "");
    if (result !== "done") inputs.find((input) => errors.has(input.name))?.focus();
    // Text typed while the outcome of this order was being found out belongs to the next one.
    else if (inputs.every(({ value }, index) => value === sent[index])) {
      if (form.contains(document.activeElement)) inputs[0]?.focus();
      form.reset();
    }
  });
  for (const input of inputs) input.addEventListener("input", () => mark(input, ""));
}

/**
 * Show what the server objects to in a field, or that it does not.
 * @param {HTMLInputElement | HTMLSelectElement} input
 * @param {string} objection
 */
export function mark(input, objection) {
  input.ariaInvalid = objection ? "true" : null;
  write(part(`${input.id}-error`, HTMLElement), objection);
}
