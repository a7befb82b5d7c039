// @ts-check
/** What can go wrong, one class for each way a program can react. */

export class LiveOrdersError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** The changes after a cursor can no longer be delivered: load the orders anew, and follow from `cursor`. */
export class HistoryLost extends LiveOrdersError {
  /** @param {string} reason @param {string} cursor */
  constructor(reason, cursor) {
    super(`The changes cannot be delivered any more (${reason}): load the orders anew`);
    this.reason = reason;
    this.cursor = cursor;
  }
}

/** We may not read: the token is refused, has ended or was revoked, …; `reason` is the server's word for it. */
export class AccessEnded extends LiveOrdersError {
  /** @param {string} reason */
  constructor(reason) {
    super(`The server does not let us in: ${reason}`);
    this.reason = reason;
  }
}

/** The server has refused a request, and nothing was written; `errors` names the fields at fault. */
export class Refused extends LiveOrdersError {
  /** @param {number} status @param {any} problem as RFC 9457 defines it */
  constructor(status, problem) {
    super(String(problem?.detail ?? problem?.title ?? `HTTP ${status}`));
    this.status = status;
    this.type = String(problem?.type ?? "about:blank");
    /** @type {readonly { in: string, field: string, message: string, pointer?: string }[]} */
    this.errors = problem?.errors ?? [];
  }
}

/** The server could not be asked for long whether a write was done; `key` is its `Idempotency-Key`. */
export class OutcomeUnknown extends LiveOrdersError {
  /** @param {string} key */
  constructor(key) {
    super("It is not known whether the write was done");
    this.key = key;
  }
}

/** The server cannot be reached, or cannot answer now; `after` is when to try again, in milliseconds. */
export class Unavailable extends Error {
  /** @param {string} why @param {number} [after] */
  constructor(why, after = 0) {
    super(why);
    this.after = after;
  }
}
