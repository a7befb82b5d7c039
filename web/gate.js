// @ts-check
/** Holds requests back until somebody may make them. Where everybody may, it loads nothing and asks nothing. */

import { ApiError } from "./api.js";
import { SIGNED_IN } from "./credentials.js";

/** @typedef {import("./identity.js").Identity} Identity */
/**
 * `refused` waits until somebody is signed in, and returns false where there is no sign-in; `expiring` tells whether the
 * session was renewed. `audience` says whose page this is, so that other pages with the same may be told what it is told;
 * null: nobody else's.
 * @typedef {{ refused(): Promise<boolean>, expiring(): Promise<boolean>, audience(): string | null }} Gate
 */

export function createGate() {
  /** @type {Promise<Identity> | null} */
  let loading = null;
  /** @type {Identity | null} */
  let known = null;
  const identity = () => {
    loading ??= import("./identity.js").then(({ createIdentity }) => (known = createIdentity()));
    loading.catch(() => (loading = null)); // the next one tries again
    return loading;
  };
  const refused = async () => (await identity()).refused();

  return {
    refused,
    /** Find out who the page is for, if there may be somebody. */
    async begin() {
      if (document.cookie.includes(`${SIGNED_IN}=`)) await (await identity()).look();
    },
    /**
     * Ask, and once more after somebody has signed in where that is what it needs.
     * @template T
     * @param {() => Promise<T>} read
     * @returns {Promise<T>}
     */
    async pass(read) {
      try {
        return await read();
      } catch (error) {
        const needs = error instanceof ApiError && (error.status === 401 || error.kind === "scope-missing");
        if (!needs || !(await refused())) throw error;
        return read();
      }
    },
    audience() {
      return loading === null ? "" : (known?.audience() ?? null);
    },
    async expiring() {
      return (await identity()).expiring();
    },
  };
}
