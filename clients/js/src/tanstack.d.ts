import type { LiveOrders, Order } from "./index.js";

interface Mutations {
  transaction: {
    mutations: readonly { key: unknown; modified: Order; changes: Record<string, unknown> }[];
  };
}

interface Sink {
  begin: () => void;
  write: (message: any) => void;
  commit: () => unknown;
  markReady: () => void;
  truncate: () => void;
  [more: string]: any;
}

/** What `createCollection` takes. */
export function ordersCollectionOptions(options: { orders: LiveOrders; id?: string }): {
  id: string;
  getKey: (order: Order) => string;
  sync: { rowUpdateMode: "full"; sync: (sink: Sink) => () => void };
  onInsert: (made: Mutations) => Promise<void>;
  onUpdate: (made: Mutations) => Promise<void>;
  onDelete: (made: Mutations) => Promise<void>;
};
