// @ts-check
/** The two buttons that change some order or other, to have something to look at. */

import { isOurs, STATUSES } from "./order.js";
import { oncePerFrame, part } from "./page.js";

/**
 * @param {import("./store.js").OrderStore} store
 * @param {import("./row.js").RowActions} actions
 */
export function createRandomButtons(store, actions) {
  const update = part("update-random", HTMLButtonElement);
  const remove = part("delete-random", HTMLButtonElement);

  update.addEventListener("click", () => {
    const id = pick(store.ids.filter(isOurs));
    if (!id) return;
    const others = STATUSES.filter((status) => status !== store.get(id)?.status);
    void actions.changeStatus(id, /** @type {string} */ (pick(others)), update);
  });
  remove.addEventListener("click", () => {
    const id = pick(store.ids.filter(isOurs));
    if (id) void actions.remove(id, remove);
  });

  const enable = oncePerFrame(() => {
    update.disabled = store.size === 0;
    remove.disabled = store.size === 0;
  });
  store.listen(enable);
}

/**
 * @template T
 * @param {readonly T[]} choices
 * @returns {T | undefined}
 */
function pick(choices) {
  return choices[Math.floor(Math.random() * choices.length)];
}
