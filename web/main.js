// @ts-check
/** The page, put together: read this first. */

import { createAddress } from "./address.js";
import { countOrders, exportOrders, findCustomers, getHistory, getOrder, listOrders } from "./api.js";
import { createBanner } from "./banner.js";
import { Deletions, UNDO_MS } from "./deletions.js";
import { createDesk } from "./desk.js";
import { createFilter } from "./filter.js";
import { foldCards } from "./fold.js";
import { createForm } from "./form.js";
import { createGate } from "./gate.js";
import { createIndicator } from "./indicator.js";
import { follow } from "./live.js";
import { createLog } from "./log.js";
import { nameOf, shortId } from "./order.js";
import { part } from "./page.js";
import { createRandomButtons } from "./random.js";
import { OrderStore } from "./store.js";
import { createStrip } from "./strip.js";
import { createSuggestions } from "./suggestions.js";
import { Sync } from "./sync.js";
import { createTable } from "./table.js";
import { toast } from "./toast.js";
import { createTotal } from "./total.js";
import { chosenTransport, createTransportChoice } from "./transport.js";
import { listOf, without } from "./view.js";
import { createWrites } from "./writes.js";

const CHECK_MS = 1000;

/** Enough for the first screen, and for a few deletions. */
const FIRST_ORDERS = 100;

const store = new OrderStore(500, 100, FIRST_ORDERS);
const log = createLog(store);
const gate = createGate();
const showConnection = createIndicator(store);
const showDoubt = createBanner();
const grid = part("orders-grid", HTMLTableElement);
const showPace = createStrip(store, log.announce);

const sync = new Sync({
  store,
  fetchList: (query) => gate.pass(() => listOrders(query)),
  fetchOrder: (id) => gate.pass(() => getOrder(id)),
  follow: (following) => follow({ ...following, gate }, chosenTransport),
  pause: (wait) => new Promise((go) => setTimeout(go, wait)),
  onConnection: (connection) => {
    showConnection(connection);
    showDoubt(connection);
    showPace(connection);
    // Until the list is as new as it has to be, what happens to an order may be told by the list and not as a change.
    grid.ariaBusy = connection.list === "current" ? null : "true";
  },
  onNotice: log.notice,
  onRefused: (refusal) => {
    const next = without(address.view, [...refusal.fields.keys()]);
    if (next === null) return;
    toast(`There is no such list. ${refusal.message}`);
    address.correct(next);
  },
});

const writes = createWrites(store, log.markOwn, () => sync.unanswered());
const deletions = new Deletions(writes.remove, (id) => {
  table.showDeletion(id);
  random.refresh();
});
/** @type {Promise<import("./drawer.js").Drawer> | null} */
let drawer = null;
const actions = {
  open: async (/** @type {string} */ id, /** @type {HTMLElement} */ opener) => {
    drawer ??= import("./drawer.js").then(({ createDrawer }) =>
      createDrawer({
        store,
        change: writes.change,
        fetchOrder: (order) => gate.pass(() => getOrder(order)),
        fetchHistory: (order, before) => gate.pass(() => getHistory(order, before)),
        goTo: actions.goTo,
      }),
    );
    drawer.catch(() => (drawer = null)); // the next one tries again
    (await drawer).open(id, opener);
  },
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
const table = createTable(store, actions, deletions, sync);
const random = createRandomButtons(store, actions, deletions, table);
createForm(writes.create);
foldCards();

const total = createTotal(store, (filter) => gate.pass(() => countOrders(filter)));
const address = createAddress((view) => {
  prepare(view);
  void sync.filter(view);
});
createTransportChoice(() => sync.move());
const showFilter = createFilter(address.choose);
prepare(address.view);
sync.begin(address.view);
createSuggestions((beginning) => gate.pass(() => findCustomers(beginning)));
createDesk({
  view: () => address.view,
  fetchFile: (view) => gate.pass(() => exportOrders(listOf(view))),
  table,
  undo: () => {
    const last = [...deletions.waiting].at(-1);
    if (last !== undefined) actions.undo(last);
    return last !== undefined;
  },
});

// A hidden page may never run again: pending deletions are sent now.
document.addEventListener("visibilitychange", () => document.hidden && deletions.sendAll());
window.addEventListener("pagehide", () => deletions.sendAll());
window.addEventListener("online", () => sync.network(true));
window.addEventListener("offline", () => sync.network(false));
if (!navigator.onLine) sync.network(false);
setInterval(() => sync.check(Date.now()), CHECK_MS);

void gate.begin().finally(() => sync.start());

/** @param {import("./view.js").View} view to be shown next */
function prepare(view) {
  showFilter(view);
  table.filter(view);
  total.filter(listOf({ ...view, sort: "" }));
}

/** @param {string} id */
function called(id) {
  return nameOf(store.get(id)) || `Order ${shortId(id)}`;
}
