/** The page's copy of a modelled database: a store of a random size, kept by the stream of the model. */

import { OrderStore } from "../../../../web/store.js";
import { Sync } from "../../../../web/sync.js";
import { Stream, tick } from "./model.js";

/** @param {import("./model.js").Model} model */
export function copyOf(model) {
  const capacity = 4 + model.pick(5);
  const store = new OrderStore(capacity, model.pick(4), 1 + model.pick(capacity), 1);
  /** @type {Stream | null} */
  let stream = null;
  const sync = new Sync({
    store,
    fetchList: (query) => model.list(query),
    fetchOrder: (id) => model.get(id),
    follow: (following) => (stream = new Stream(model, following)),
    pause: async () => void (await tick()),
    onConnection: () => {},
    onNotice: () => {},
  });
  return { capacity, store, sync, stream: () => /** @type {Stream | null} */ (stream) };
}
