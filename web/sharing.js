// @ts-check
/** A page's connection, shared with the tabs of its group: those for the same person, by the same transport. */

import { take } from "./place.js";

/** @typedef {import("./live.js").Following} Following */
/** @typedef {import("./live.js").Live} Live */

/** The tabs that have the same name share, unless that is a tab's own. @typedef {{ name: string, isShared: boolean }} Group */

/**
 * Share a connection with the other tabs of the same group.
 * @param {Following} following
 * @param {(following: Following) => Promise<Live>} connect
 * @param {() => Group} group as it is now
 * @returns {Live & { move(): void }} `move`: to another connection, if the group is another one
 */
export function share({ position, filter, listener, gate }, connect, group) {
  let wanted = filter;
  let own = place();

  /** A place in the group as it is now. */
  function place() {
    const { name, isShared } = group();
    const following = { position, filter: wanted, listener, gate: guarded() };
    const shared = isShared && "locks" in navigator && "BroadcastChannel" in window;
    return { name, ...take(following, connect, shared ? name : null, () => group().name === name) };
  }

  function move() {
    if (group().name === own.name) return;
    own.leave();
    listener.lost("another connection is wanted");
    own = place();
  }

  /** Who may see the orders may be somebody else after that. */
  function guarded() {
    return {
      ...gate,
      refused: async () => {
        const admitted = await gate.refused();
        move();
        return admitted;
      },
    };
  }

  // A page that is put aside must not keep the connection from the others; it may come back.
  const back = () => own.hasLeft() && (own = place());
  addEventListener("pagehide", ({ persisted }) => persisted && own.leave());
  addEventListener("pageshow", back);
  document.addEventListener("freeze", () => own.leave());
  document.addEventListener("resume", back);

  return {
    filter(next) {
      wanted = next;
      return own.tab.filter(next);
    },
    retry: (doubt) => own.tab.retry(doubt),
    close: () => own.leave(),
    move,
  };
}
