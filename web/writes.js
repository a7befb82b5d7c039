// @ts-check
/** The page's writes; their results show when the change itself comes back over the live connection. */

import { ApiError, createOrder, deleteOrder, getOrder, listOrders, updateOrder } from "./api.js";
import { nameOf, shortId } from "./order.js";
import { findOut, madeBy } from "./outcome.js";
import { toast } from "./toast.js";

/** @typedef {import("./api.js").Written} Written */
/** @typedef {import("./order.js").Order} Order */
/** @typedef {HTMLButtonElement | HTMLSelectElement} Control */
/** @typedef {(operation: string, id: string, cursor: string | null) => void} MarkOwn */
/** "not now": the control is still at work on the last one. @typedef {"done" | "not now" | ApiError} Result */
/** @typedef {{ what: string, done: string, look: () => Promise<Written | null> }} Doubt what to say of a write, and where to look for it */

const CANDIDATES = 50;
const TIME = {
  now: Date.now,
  pause: (/** @type {number} */ wait) => new Promise((/** @type {(value: void) => void} */ go) => setTimeout(go, wait)),
};

/**
 * @param {import("./store.js").OrderStore} store
 * @param {MarkOwn} markOwn
 * @param {() => void} unanswered told when the server did not answer in time
 */
export function createWrites(store, markOwn, unanswered) {
  /**
   * Do it; if the outcome is unknown, say so and find out.
   * @param {() => Promise<Written>} write
   * @param {Doubt} doubt
   * @returns {Promise<Written>} throws ApiError: it was not done
   */
  async function settled(write, { what, done, look }) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof ApiError) || !error.unknown) throw error;
      if (error.late) unanswered();
      const note = toast(`It is not known whether ${what} was ${done}. ${error.message} Looking…`, { stays: true });
      const found = await findOut(look, TIME);
      note.say(found ? `${sentence(what)} was ${done}.` : `${sentence(what)} was not ${done}. Try again.`);
      if (!found) throw new ApiError(error.message, { unknown: true });
      return found;
    }
  }

  /** @type {ReturnType<typeof toast> | undefined} */
  let refusal; // the note about the last refused order

  /** @param {string} id */
  function calledBy(id) {
    return nameOf(store.get(id)) || `order ${shortId(id)}`;
  }

  /**
   * @param {string} id
   * @param {{ [field: string]: string }} fields
   * @param {Control} control
   * @param {string} [done] what has become of it then
   * @param {string | null} [etag] only if the order is still this version
   * @returns {Promise<Result>}
   */
  async function change(id, fields, control, done = "changed", etag = null) {
    const look = async () => {
      const { order } = await getOrder(id);
      const isDone = Object.entries(fields).every(([field, value]) => order?.[field] === value.trim());
      return isDone ? { id, cursor: null } : null;
    };
    return whileBusy(control, async () => {
      const doubt = { what: calledBy(id), done, look };
      markOwn("UPDATE", id, (await settled(() => updateOrder(id, fields, etag), doubt)).cursor);
    });
  }

  return {
    /** @param {Order} fields @param {Control} control @returns {Promise<Result>} */
    async create(fields, control) {
      const began = Date.now();
      const known = new Set(store.ids);
      const look = async () => {
        const asked = Date.now();
        const customer = String(fields.customer_name).trim();
        const { orders, readAt } = await listOrders({ limit: CANDIDATES, filter: { customer_name: [customer] } });
        const id = madeBy(orders, fields, known, readAt === null ? null : readAt - (asked - began));
        return id === null ? null : { id, cursor: null };
      };
      const result = await whileBusy(control, async () => {
        const doubt = { what: `the order for ${nameOf(fields)}`, done: "added", look };
        const { id, cursor } = await settled(() => createOrder(fields), doubt);
        if (id) markOwn("INSERT", id, cursor);
      });
      refusal?.close(); // it is about an earlier attempt
      if (result instanceof ApiError && !result.unknown)
        refusal = toast(
          `The order was not added. ${result.fields.size > 0 ? "See the marked fields." : result.message}`,
        );
      return result;
    },

    change,

    /** @param {string} id @param {string} status @param {Control} control @returns {Promise<Result>} */
    async changeStatus(id, status, control) {
      const result = await change(id, { status }, control, `set to ${status}`);
      if (result instanceof ApiError && !result.unknown) toast(`The order was not changed. ${result.message}`);
      return result;
    },

    /** @param {string} id @returns {Promise<boolean>} whether the order has gone */
    async remove(id) {
      const look = async () => ((await getOrder(id)).order === null ? { id, cursor: null } : null);
      try {
        markOwn(
          "DELETE",
          id,
          (await settled(() => deleteOrder(id), { what: calledBy(id), done: "deleted", look })).cursor,
        );
        return true;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 404) return true; // another client was faster
        if (!error.unknown) toast(`${sentence(calledBy(id))} was not deleted. ${error.message}`);
        return false;
      }
    },
  };
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Show that a control is busy, and keep it from being used twice. It stays focusable (hence not `disabled`).
 * @param {Control} control
 * @param {() => Promise<void>} act
 * @returns {Promise<Result>}
 */
async function whileBusy(control, act) {
  if (control.ariaBusy === "true") return "not now";
  control.ariaBusy = "true";
  try {
    await act();
    return "done";
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  } finally {
    control.ariaBusy = null;
  }
}
