// @ts-check
/** What requests say of who makes them, besides the browser's cookie: a pasted token, which is kept in memory only. */

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
