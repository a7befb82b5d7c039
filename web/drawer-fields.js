// @ts-check
/** All fields of one order, also those that the page does not know, to be read. */

import { textOf } from "./order.js";
import { make, write } from "./page.js";
import { writeTime } from "./time.js";

/** @typedef {import("./order.js").Order} Order */

/** Known fields come first, under the words that the table has for them. @type {Map<string, string>} */
const KNOWN = new Map([
  ["customer_name", "Customer"],
  ["product_name", "Product"],
  ["status", "Status"],
  ["updated_at", "Updated"],
]);
const MOST_FIELDS = 200;
const LONGEST = 4000;
const LONGEST_NAME = 200;

export function createFields() {
  const element = make("dl", "drawer-fields");
  /** The values by field. @type {Map<string, HTMLElement>} */
  let values = new Map();

  /** @param {string[]} names */
  function build(names) {
    element.replaceChildren();
    values = new Map();
    for (const name of names) {
      const line = element.appendChild(make("div"));
      line.dataset.field = name;
      const term = line.appendChild(make("dt", "", KNOWN.get(name) ?? textOf(name, LONGEST_NAME)));
      term.dir = "auto";
      const value = line.appendChild(make("dd"));
      value.dir = "auto";
      values.set(name, name === "updated_at" ? value.appendChild(make("time")) : value);
    }
  }

  return {
    element,
    /** Show nothing but the id. @param {string} id */
    clear(id) {
      this.show({ _id: id });
    },
    /** @param {Order} order */
    show(order) {
      const others = Object.keys(order).filter((name) => name !== "_id" && !KNOWN.has(name));
      const names = [...[...KNOWN.keys()].filter((name) => name in order), "_id", ...others];
      const few = names.slice(0, MOST_FIELDS);
      // Built again only for other fields: what is selected, or read out, stays.
      if (`${[...values.keys()]}` !== `${few}`) build(few);
      for (const [name, value] of values) {
        if (value instanceof HTMLTimeElement) writeTime(value, order[name]);
        else write(value, textOf(order[name], LONGEST) || "–");
      }
      const more = names.length - few.length;
      element.dataset.more = more > 0 ? `and ${more} more fields` : "";
    },
  };
}
