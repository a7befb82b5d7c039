// @ts-check
/** The focus in the table: it is on one row, or near the row that it was on, never on a control that deletes. */

/**
 * Keep the focus near when its row is removed: on a row itself, never on a control that deletes.
 * @param {HTMLElement} row
 */
export function keepFocusNear(row) {
  if (!row.contains(document.activeElement)) return;
  let near = row.nextElementSibling;
  while (near instanceof HTMLElement && near.inert) near = near.nextElementSibling;
  near ??= row.previousElementSibling;
  const target = near instanceof HTMLElement && !near.inert ? near : document.getElementById("orders");
  target?.focus({ preventScroll: true });
}

/**
 * Make one row the tab stop of the table.
 * @param {Iterable<[string, import("./row.js").Row]>} rows
 * @param {string | null} current its order
 */
export function setTabStop(rows, current) {
  for (const [id, row] of rows) {
    const index = id === current ? 0 : -1;
    if (row.element.tabIndex !== index) row.element.tabIndex = index;
  }
}

/** The order whose row has the focus. @returns {string | undefined} */
export function focusedOrder() {
  return document.activeElement?.closest("tr")?.dataset.id;
}
