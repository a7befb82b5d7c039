// @ts-check
/** The form for a new order. The server alone judges what is valid; its objections appear at the fields they name. */

import { part, write } from "./page.js";

/** @typedef {import("./api.js").ApiError} ApiError */
/**
 * @param {(fields: import("./order.js").Order, control: HTMLButtonElement) => Promise<ApiError | null>} create
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
    if (button.ariaBusy === "true") return;
    const failure = await create(Object.fromEntries(inputs.map(({ name, value }) => [name, value])), button);
    for (const input of inputs) mark(input, failure?.fields.get(input.name) ?? "");
    if (failure) inputs.find((input) => failure.fields.has(input.name))?.focus();
    else {
      form.reset();
      inputs[0]?.focus();
    }
  });
  for (const input of inputs) input.addEventListener("input", () => mark(input, ""));
}

/**
 * @param {HTMLInputElement | HTMLSelectElement} input
 * @param {string} objection
 */
function mark(input, objection) {
  input.ariaInvalid = objection ? "true" : null;
  write(part(`${input.id}-error`, HTMLElement), objection);
}
