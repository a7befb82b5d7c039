// @ts-check
/** The page, put together: read this first. */

import { getOrder, listOrders } from "./api.js";
import { createFilter } from "./filter.js";
import { createForm } from "./form.js";
import { createIndicator } from "./indicator.js";
import { createLog } from "./log.js";
import { createRandomButtons } from "./random.js";
import { OrderStore } from "./store.js";
import { Sync } from "./sync.js";
import { createTable } from "./table.js";
import { createWrites } from "./writes.js";

const store = new OrderStore();

const log = createLog(store);
const writes = createWrites(log.markOwn);
const table = createTable(store, writes);
const showConnection = createIndicator(store);
createForm(writes.create);
createRandomButtons(store, writes);

const sync = new Sync({
  store,
  fetchList: listOrders,
  fetchOrder: getOrder,
  onConnection: showConnection,
  onNotice: log.notice,
});

createFilter((status) => {
  table.beQuiet();
  void sync.filter(status);
});

void sync.start(new URLSearchParams(location.search).get("transport"));
