// @ts-check
/** Why the server asked for the list to be read again, in words. */

/** @type {Map<string, string>} */
const WORDS = new Map([
  ["history_lost", "the server no longer has all that changed since this page was last connected"],
  ["history_unavailable", "the database does not say what has changed since this page was last connected"],
  ["replay_too_long", "too much has changed since this page was last connected"],
  ["too_many_replays", "too many pages are being told what has changed"],
  ["epoch_unknown", "the record of changes has begun anew"],
  ["invalid_cursor", "the server did not understand where this page stood"],
  ["invalid_session", "the server does not know this page's session"],
  ["first_start", "the record of changes has begun"],
  ["state_lost", "the record of changes was lost and has begun anew"],
  ["token_unknown", "the database's own record of changes is another one"],
  ["database_replaced", "the database is another one"],
  ["pipeline_changed", "what is recorded of changes has changed"],
  ["collection_dropped", "the collection of orders was dropped"],
  ["collection_renamed", "the collection of orders was renamed"],
  ["database_dropped", "the database was dropped"],
  ["invalidated", "the database ended its record of changes"],
]);

/** @param {string} reason */
export function reasonInWords(reason) {
  return WORDS.get(reason) ?? reason.replaceAll("_", " ");
}
