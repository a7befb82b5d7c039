// @ts-check
/** Changes an order in place: only what was edited is sent, and only if nobody else has changed the order meanwhile. */

import { mark } from "./form.js";
import { differences, STATUSES, textOf } from "./order.js";
import { make, write } from "./page.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {(id: string, fields: { [field: string]: string }, control: HTMLButtonElement, done: string, etag: string | null) => Promise<import("./writes.js").Result>} ChangeOrder */
/** What is edited: this version of this order. @typedef {{ id: string, order: Order, etag: string | null }} Base */
/** @typedef {HTMLInputElement | HTMLSelectElement} Input */

const LONGEST = 100_000;
const CHANGED = 412;

/**
 * @param {{ change: ChangeOrder, fetchOrder: (id: string) => ReturnType<typeof import("./api.js").getOrder>,
 *           ended: (written: Order | null) => void }} parts
 */
export function createEditor({ change, fetchOrder, ended }) {
  const element = make("form", "drawer-editor");
  element.noValidate = true;
  element.autocomplete = "off";
  element.hidden = true;
  element.setAttribute("aria-label", "Edit the order");
  const inputs = [
    field(element, "customer_name", "Customer", make("input")),
    field(element, "product_name", "Product", make("input")),
    field(element, "status", "Status", make("select")),
  ];
  const conflict = element.appendChild(make("div", "drawer-conflict"));
  conflict.role = "alert";
  const what = conflict.appendChild(make("p"));
  what.dir = "auto";
  const choices = conflict.appendChild(make("div", "drawer-choices"));
  const keep = choices.appendChild(button("Keep my changes"));
  const take = choices.appendChild(button("Take the new values"));
  const refusal = element.appendChild(make("p", "field-error"));
  refusal.role = "alert";
  const ends = element.appendChild(make("div", "drawer-choices"));
  const save = ends.appendChild(button("Save"));
  save.type = "submit";
  save.classList.add("button-primary");
  const cancel = ends.appendChild(button("Cancel"));

  /** @type {Base | null} */
  let base = null;
  /** The newest version known of the order. @type {Order | null} */
  let newest = null;

  /** Fill in what was not edited. @param {Order} order @param {(input: Input) => boolean} keeps */
  function fill(order, keeps) {
    for (const input of inputs) {
      if (keeps(input)) continue;
      const text = textOf(order[input.name], LONGEST);
      if (input instanceof HTMLSelectElement) fillStatuses(input, text);
      else input.value = text;
      mark(input, "");
    }
  }

  /** @param {Input} input */
  function isEdited(input) {
    const was = textOf(base?.order[input.name], LONGEST);
    return input instanceof HTMLSelectElement && !STATUSES.includes(was) ? input.value !== "" : input.value !== was;
  }

  function sayWhatChanged() {
    const changed = base === null || newest === null ? [] : differences(base.order, newest);
    const words = changed.map(({ label, from, to }) => `${label} from ${from || "nothing"} to ${to || "nothing"}`);
    write(what, `This order was changed meanwhile: ${words.join(", ") || "in fields that are not edited here"}.`);
    conflict.hidden = false;
  }

  /** Go on from the newest version. @param {boolean} keeping what was edited */
  async function rebase(keeping) {
    const edited = base;
    if (edited === null) return;
    const kept = new Set(keeping ? inputs.filter(isEdited) : []);
    try {
      const { order, etag } = await fetchOrder(edited.id);
      if (base !== edited || order === null) return;
      base = { id: edited.id, order, etag };
      fill(order, (input) => kept.has(input));
      conflict.hidden = true;
      write(refusal, "");
      save.focus();
    } catch (error) {
      if (base === edited) write(refusal, /** @type {Error} */ (error).message);
    }
  }

  /** @param {import("./api.js").ApiError} error @param {Base} edited */
  async function refused(error, edited) {
    for (const input of inputs) mark(input, error.fields.get(input.name) ?? "");
    const wrong = inputs.find((input) => error.fields.has(input.name));
    if (error.status === CHANGED) {
      const { order } = await fetchOrder(edited.id).catch(() => ({ order: null }));
      if (base !== edited) return;
      newest = order ?? newest;
      sayWhatChanged();
      keep.focus();
    } else {
      write(refusal, `The order was not changed. ${wrong ? "See the marked fields." : error.message}`);
      (wrong ?? save).focus();
    }
  }

  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const edited = base;
    if (edited === null) return;
    const sent = Object.fromEntries(inputs.filter(isEdited).map(({ name, value }) => [name, value]));
    if (Object.keys(sent).length === 0) {
      end(null);
      return;
    }
    write(refusal, "");
    const result = await change(edited.id, sent, save, "changed", edited.etag);
    if (base !== edited || result === "not now") return; // it was closed meanwhile
    if (result === "done") end(Object.fromEntries(Object.entries(sent).map(([name, value]) => [name, value.trim()])));
    else await refused(result, edited);
  });

  /** @param {Order | null} written */
  function end(written) {
    stop();
    ended(written);
  }

  function stop() {
    base = newest = null;
    element.hidden = true;
  }

  keep.addEventListener("click", () => void rebase(true));
  take.addEventListener("click", () => void rebase(false));
  cancel.addEventListener("click", () => end(null));

  return {
    element,
    get editing() {
      return base !== null;
    },
    /** @param {string} id @param {Order} order @param {string | null} etag */
    start(id, order, etag) {
      base = { id, order, etag };
      newest = order;
      fill(order, () => false);
      conflict.hidden = true;
      write(refusal, "");
      element.hidden = false;
      inputs[0]?.focus();
    },
    /** The order is this now: whoever edits it has to know. @param {Order} order */
    meanwhile(order) {
      if (base === null || save.ariaBusy === "true") return; // it may be the change that is being made
      newest = order;
      if (differences(base.order, order).length > 0) sayWhatChanged();
    },
    cancel: () => end(null),
    stop,
    /** What was edited must not be lost because another order is opened. */
    urge() {
      write(refusal, "Save or cancel this first.");
      save.focus();
    },
  };
}

/** @template {Input} T @param {HTMLElement} form @param {string} name @param {string} words @param {T} input */
function field(form, name, words, input) {
  const root = form.appendChild(make("div", "field"));
  const label = root.appendChild(make("label", "", words));
  input.name = name;
  input.id = label.htmlFor = `drawer-${name}`;
  input.dir = "auto";
  root.append(input);
  const error = root.appendChild(make("p", "field-error"));
  error.id = `${input.id}-error`;
  input.setAttribute("aria-describedby", error.id);
  input.addEventListener("input", () => mark(input, ""));
  return input;
}

/** The statuses to choose from, and what it is now if that is none of them. @param {HTMLSelectElement} select @param {string} now */
function fillStatuses(select, now) {
  select.replaceChildren(...STATUSES.map((status) => new Option(status, status)));
  if (STATUSES.includes(now)) {
    select.value = now;
    return;
  }
  const foreign = new Option(now || "none", "", true, true);
  foreign.disabled = true;
  select.prepend(foreign);
}

/** @param {string} text */
function button(text) {
  const made = make("button", "button", text);
  made.type = "button";
  return made;
}
