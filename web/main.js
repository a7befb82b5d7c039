// @ts-check
/** The page, put together: read this first. */

import { getOrder, listOrders } from "./api.js";
import { createBanner } from "./banner.js";
import { Deletions, UNDO_MS } from "./deletions.js";
import { createFilter } from "./filter.js";
import { createForm } from "./form.js";
import { createIndicator } from "./indicator.js";
import { follow } from "./live.js";
import { createLog } from "./log.js";
import { nameOf, shortId } from "./order.js";
import { createRandomButtons } from "./random.js";
import { OrderStore } from "./store.js";
import { Sync } from "./sync.js";
import { createTable } from "./table.js";
import { toast } from "./toast.js";
import { createWrites } from "./writes.js";

const CHECK_MS = 1000;

const store = new OrderStore();
const log = createLog(store);
const showConnection = createIndicator(store);
const showDoubt = createBanner();

const sync = new Sync({
  store,
  fetchList: listOrders,
  fetchOrder: getOrder,
  follow: (following) => follow(following, new URLSearchParams(location.search).get("transport")),
  pause: (wait) => new Promise((go) => setTimeout(go, wait)),
  onConnection: (connection) => {
    showConnection(connection);
    showDoubt(connection);
  },
  onNotice: log.notice,
});

const writes = createWrites(store, log.markOwn, () => sync.unanswered());
const deletions = new Deletions(writes.remove, (id) => {
  table.showDeletion(id);
  random.refresh();
});
const actions = {
  changeStatus: writes.changeStatus,
  remove: (/** @type {string} */ id) => {
    deletions.ask(id);
    log.announce(`${called(id)} is deleted in ${UNDO_MS / 1000} seconds. Undo is in its row.`);
  },
  undo: (/** @type {string} */ id) => {
    deletions.undo(id);
    log.announce(`${called(id)} is kept.`);
  },
  goTo: (/** @type {string} */ id) => table.goTo(id),
  offerUndo: (/** @type {string} */ id) => {
    toast(`${called(id)} is about to be deleted.`, { action: { label: "Undo", act: () => deletions.undo(id) } });
  },
};
const table = createTable(store, actions, deletions);
const random = createRandomButtons(store, actions, deletions);
createForm(writes.create);

createFilter((status) => {
  table.filter(status);
  void sync.filter(status);
});

// A hidden page may never run again: pending deletions are sent now.
document.addEventListener("visibilitychange", () => document.hidden && deletions.sendAll());
window.addEventListener("pagehide", () => deletions.sendAll());
window.addEventListener("online", () => sync.network(true));
window.addEventListener("offline", () => sync.network(false));
if (!navigator.onLine) sync.network(false);
setInterval(() => sync.check(Date.now()), CHECK_MS);

void sync.start();

/** @param {string} id */
function called(id) {
  return nameOf(store.get(id)) || `Order ${shortId(id)}`;
}
