/** An order's fields as JSON values. */
export interface Order {
  readonly _id: string;
  readonly [field: string]: any;
}

/** One committed change. */
export interface Change {
  readonly operation: "INSERT" | "UPDATE" | "DELETE";
  readonly id: string;
  /** The order after it; of a deleted one, its last known state; null where the server could not deliver it. */
  readonly data: Order | null;
  readonly cursor: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** The order still exists, but no longer fits the filter, or is no longer yours to see. */
  readonly left?: boolean;
}

/** How far the copy can be trusted, and why it is not live. */
export interface Status {
  readonly phase: "loading" | "live" | "stale" | "ended";
  readonly reason: string | null;
}

/** The reading half of a Map; it always shows the present. */
export interface Rows extends Iterable<[string, Order]> {
  readonly size: number;
  get(id: string): Order | undefined;
  has(id: string): boolean;
  entries(): IterableIterator<[string, Order]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<Order>;
  forEach(call: (order: Order, id: string) => void): void;
}

export interface View {
  readonly rows: Rows;
  readonly status: Status;
  /** The change that has just been applied, if that is what happened. */
  readonly change: Change | null;
  /** The copy has just been loaded anew. */
  readonly reloaded: boolean;
}

/** A write that the copy does not show yet. */
export interface PendingWrite {
  readonly key: string;
  readonly id: string;
  readonly shown: Order | null;
  readonly state: "sent" | "unknown" | "accepted";
  readonly cursor: string | null;
}

export type Transport = "websocket" | "polling" | "sse";

type Field = "_id" | "updated_at" | "customer_name" | "product_name" | "status";

/** A field, with `-` in front for descending order. */
export type Sort = Field | `-${Field}`;

/** A place in a sorted list, as `nextPlace` gives it: a plain value, which JSON can carry. */
export interface Place {
  readonly sort: string;
  /** The server's word for it. */
  readonly mark: string;
  /** The id of the order that was there, and the field of `sort`. */
  readonly order: Order;
}

/** The first orders of a sorted list, or the first ones after a place in it. */
export interface Window {
  /** By default `-_id`, the newest first. */
  sort?: Sort;
  limit: number;
  /** How many orders come before; together with `limit` 500 at most. */
  skip?: number;
  /** Where it begins, in a list with the same `sort`; by default at the beginning of the list. */
  after?: Place | null;
}

export interface Options {
  /** Orders whose every named field has one of the texts. */
  filter?: {
    ids?: string | readonly string[];
    status?: string | readonly string[];
    customer_name?: string | readonly string[];
  };
  /** A copy of these only, in their order. */
  window?: Window;
  /** A token, or a function that gives one and is called again when it expires. */
  token?: string | (() => string | Promise<string>);
  /** The function `io` of `socket.io-client`: the stream comes over Socket.IO then. */
  io?: unknown;
  /** What may be used, the preferred one first; by default `["sse"]`, with `io` `["websocket", "polling", "sse"]`. */
  transports?: readonly Transport[];
  /** For how many milliseconds a write is repeated whose outcome is unknown; a minute by default. */
  writePatience?: number;
}

export interface LiveOrders {
  readonly rows: Rows;
  readonly window: Window | null;
  /** The orders as the database has them at `cursor`, without your own writes. */
  readonly copy: ReadonlyMap<string, Order>;
  readonly status: Status;
  readonly cursor: string | null;
  readonly pending: readonly PendingWrite[];
  readonly view: View;
  /** The transport that is used, or tried. */
  readonly transport: Transport;
  /** Go on over another of the transports, without a gap. */
  use(transport: Transport): void;
  live(): Promise<LiveOrders>;
  subscribe(listener: (view: View) => void): () => void;
  changes(from?: { since?: string | null }): AsyncGenerator<Change>;
  create(fields: Record<string, unknown>): Promise<Order>;
  update(id: string, fields: Record<string, unknown>, condition?: { ifMatch?: string }): Promise<Order>;
  delete(id: string, condition?: { ifMatch?: string }): Promise<Order>;
  /** As soon as the copy includes all your writes of before. */
  settled(): Promise<void>;
  /** The place below the window's last order, as the list is now, for the `after` of another window; null: no order is below. */
  nextPlace(): Promise<Place | null>;
  close(): void;
}

export function liveOrders(url: string, options?: Options): LiveOrders;

export class LiveOrdersError extends Error {}
export class HistoryLost extends LiveOrdersError {
  readonly reason: string;
  readonly cursor: string;
}
export class AccessEnded extends LiveOrdersError {
  readonly reason: string;
}
export class Refused extends LiveOrdersError {
  readonly status: number;
  readonly type: string;
  readonly errors: readonly { in: string; field: string; message: string; pointer?: string }[];
}
export class OutcomeUnknown extends LiveOrdersError {
  readonly key: string;
}
