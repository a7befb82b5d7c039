// @ts-check
/** The number of orders that wait to be shown while no row may move. */

/**
 * Those above the oldest that is shown. Older ones are filled in from below without asking.
 * @param {readonly string[]} ids newest first
 * @param {{ has(id: string): boolean }} shown
 */
export function countWaiting(ids, shown) {
  const oldest = ids.findLastIndex((id) => shown.has(id));
  return ids.filter((id, index) => !shown.has(id) && (oldest < 0 || index < oldest)).length;
}
