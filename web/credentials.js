// @ts-check
/** What requests say of who makes them, besides the browser's cookie: a pasted token, which is kept in memory only. */

/** The gateway's sign that there is a session, whose own cookie is hidden from scripts. */
export const SIGNED_IN = "__Host-orders-signed-in";

/** @type {string | null} */
let pasted = null;

/** @param {string | null} token */
export function useToken(token) {
  pasted = token;
}

/** @returns {string | null} */
export function tokenInUse() {
  return pasted;
}

/** @returns {Record<string, string>} */
export function authorization() {
  return pasted === null ? {} : { Authorization: `Bearer ${pasted}` };
}
