// @ts-check
/** The two buttons that change a random order, to have something to watch. */

import { STATUSES } from "./order.js";
import { oncePerFrame, part } from "./page.js";

/**
 * @param {import("./store.js").OrderStore} store
 * @param {import("./row.js").RowActions} actions
 * @param {import("./deletions.js").Deletions} deletions
 * @param {{ readonly ids: string[] }} table the orders that can be watched, at other times than now
 */
export function createRandomButtons(store, actions, deletions, table) {
  const update = part("update-random", HTMLButtonElement);
  const remove = part("delete-random", HTMLButtonElement);
  const choices = () => {
    const seen = table.ids.filter((id) => deletions.stateOf(id) === "none");
    return seen.length > 0 ? seen : store.ids.filter((id) => deletions.stateOf(id) === "none");
  };

  update.addEventListener("click", () => {
    const id = pick(choices());
    if (!id) return;
    const others = STATUSES.filter((status) => status !== store.get(id)?.status);
    void actions.changeStatus(id, /** @type {string} */ (pick(others)), update);
  });
  remove.addEventListener("click", (event) => {
    const id = pick(choices());
    if (!id) return;
    actions.remove(id);
    // By keyboard: the next Enter must not delete another one, and Undo is in that row.
    if (event.detail === 0) actions.goTo(id);
  });

  const enable = oncePerFrame(() => {
    const none = !store.ids.some((id) => deletions.stateOf(id) === "none");
    update.disabled = none;
    remove.disabled = none;
  });
  store.listen(enable);
  return {
    /** To be called when the orders to choose from have changed. */
    refresh: enable,
  };
}

/**
 * @template T
 * @param {readonly T[]} choices
 * @returns {T | undefined}
 */
function pick(choices) {
  return choices[Math.floor(Math.random() * choices.length)];
}
