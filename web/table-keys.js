// @ts-check
/** The table by keyboard: one tab stop, arrows from row to row and into a row's controls; no key changes an order by itself. */

/**
 * @param {HTMLElement} body
 * @param {{ placeOf(id: string): number, open(row: HTMLElement): void, focusAt(place: number): void, end(): number, page(): number }} table places are
 *   counted from the top of the list; `page` is how many rows are in view
 */
export function moveByKeyboard(body, table) {
  body.addEventListener("keydown", (event) => {
    const { target } = event;
    if (!(target instanceof HTMLElement) || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const row = target.closest("tr");
    if (!row || isOpen(target)) return;
    if (sideways(event.key, row, target) || upOrDown(event.key, row, target)) event.preventDefault();
  });

  /** @param {string} key @param {HTMLTableRowElement} row @param {HTMLElement} target @returns {boolean} whether it was such a key */
  function upOrDown(key, row, target) {
    const place = table.placeOf(row.dataset.id ?? "");
    const step = Math.max(1, table.page() - 1);
    switch (key) {
      case "ArrowDown":
        table.focusAt(place + 1);
        return true;
      case "ArrowUp":
        table.focusAt(place - 1);
        return true;
      case "PageDown":
        table.focusAt(place + step);
        return true;
      case "PageUp":
        table.focusAt(place - step);
        return true;
      case "Enter":
        // Whoever has just deleted an order by Enter, perhaps pressed twice, does not want to look at it.
        if (target !== row || (row.dataset.deletion ?? "none") !== "none") return false;
        table.open(row);
        return true;
      case "Home":
        if (target !== row) return false;
        table.focusAt(0);
        return true;
      case "End":
        if (target !== row) return false;
        table.focusAt(table.end());
        return true;
      default:
        return false;
    }
  }
}

/** @param {string} key @param {HTMLTableRowElement} row @param {HTMLElement} target @returns {boolean} whether it was such a key */
function sideways(key, row, target) {
  if (key !== "ArrowRight" && key !== "ArrowLeft" && key !== "Escape") return false;
  const stops = [row, ...row.querySelectorAll("select, button:not(.row-open)")].filter(
    (each) => each instanceof HTMLElement && (each === row || each.checkVisibility()),
  );
  const index = key === "Escape" ? 0 : stops.indexOf(target) + (key === "ArrowRight" ? 1 : -1);
  const stop = stops[Math.max(0, Math.min(index, stops.length - 1))];
  if (stop instanceof HTMLElement) stop.focus({ preventScroll: true });
  return true;
}

/** Whether it is a list that is open, in which the arrows choose. @param {HTMLElement} element */
function isOpen(element) {
  return element instanceof HTMLSelectElement && CSS.supports("selector(:open)") && element.matches(":open");
}
