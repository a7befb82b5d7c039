// @ts-check
/** Everything this page can do to orders; the result is seen when the change itself comes back over the live connection. */

import { ApiError, createOrder, deleteOrder, updateOrder } from "./api.js";
import { toast } from "./toast.js";

/** @typedef {import("./api.js").Written} Written */
/** @typedef {HTMLButtonElement | HTMLSelectElement} Control */
/** @typedef {(operation: string, id: string, cursor: string | null) => void} MarkOwn */

/** @param {MarkOwn} markOwn */
export function createWrites(markOwn) {
  return {
    /**
     * @param {import("./order.js").Order} fields
     * @param {Control} control
     * @returns {Promise<ApiError | null>} what the server objected to
     */
    async create(fields, control) {
      const failure = await whileBusy(control, async () => {
        const { id, cursor } = await createOrder(fields);
        if (id) markOwn("INSERT", id, cursor);
      });
      if (failure)
        toast(`The order was not added. ${failure.fields.size > 0 ? "See the marked fields." : failure.message}`);
      return failure;
    },

    /** @param {string} id @param {string} status @param {Control} control */
    async changeStatus(id, status, control) {
      const failure = await whileBusy(control, async () => {
        markOwn("UPDATE", id, (await updateOrder(id, { status })).cursor);
      });
      if (failure) toast(`The order was not changed. ${failure.message}`);
      return failure === null;
    },

    /** @param {string} id @param {Control} control */
    async remove(id, control) {
      const failure = await whileBusy(control, async () => {
        markOwn("DELETE", id, (await deleteOrder(id)).cursor);
      });
      if (failure) toast(`The order was not deleted. ${failure.message}`);
      return failure === null;
    },
  };
}

/**
 * Show that a control is at work, and keep it from being used twice. It stays focusable (hence not `disabled`).
 * @param {Control} control
 * @param {() => Promise<void>} act
 * @returns {Promise<ApiError | null>}
 */
async function whileBusy(control, act) {
  if (control.ariaBusy === "true") return null;
  control.ariaBusy = "true";
  try {
    await act();
    return null;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  } finally {
    control.ariaBusy = null;
  }
}
