// @ts-check
/** The controls that choose which orders to show, and how: some statuses, a customer, what is sought, in which order. */

import { part } from "./page.js";
import { canSort, fitting } from "./view.js";

/** @typedef {import("./view.js").View} View */

/** @param {(view: View) => void} choose @returns {(view: View) => void} shows which view is chosen */
export function createFilter(choose) {
  const fieldset = part("filter", HTMLFieldSetElement);
  const customer = part("filter-customer", HTMLInputElement);
  const sought = part("search", HTMLInputElement);
  const sort = part("sort", HTMLSelectElement);
  const heads = [...part("orders-head", HTMLTableSectionElement).querySelectorAll("th")];
  const boxes = [...fieldset.querySelectorAll("input")];
  const [all, ...each] = boxes;
  const chosen = () => ({
    statuses: each.filter(({ checked }) => checked).map(({ value }) => value),
    customer: customer.value,
    sought: "",
    sort: sort.value,
  });

  fieldset.addEventListener("change", (event) => {
    if (event.target === all) for (const box of each) box.checked = false;
    const view = fitting(chosen());
    if (all) all.checked = view.statuses.length === 0;
    choose(view);
  });
  // By Enter, by leaving the field, or by its cross.
  for (const event of ["change", "search"]) {
    customer.addEventListener(event, () => choose(fitting(chosen())));
    sought.addEventListener(event, () => {
      const beginning = sought.value;
      // What is found is found among all orders: no index serves a search and a filter.
      choose(fitting(beginning === "" ? chosen() : { ...chosen(), sought: beginning }));
    });
  }
  sort.addEventListener("change", () => choose(fitting(chosen())));

  return (view) => {
    const { statuses, customer: name } = view;
    for (const box of boxes) box.checked = box === all ? statuses.length === 0 : statuses.includes(box.value);
    if (customer.value !== name) customer.value = name;
    if (sought.value !== view.sought) sought.value = view.sought;
    for (const option of sort.options) option.disabled = !canSort(option.value, view);
    sort.value = view.sort;
    sort.disabled = view.sought !== "";
    const by = view.sort || (view.sought === "" ? "-_id" : "");
    for (const head of heads) {
      head.ariaSort =
        head.dataset.field !== by.replace(/^-/, "") ? null : by.startsWith("-") ? "descending" : "ascending";
    }
  };
}
