// @ts-check
/** Why the server asked for the list to be read again, in words. */

/** @type {Map<string, string>} */
const WORDS = new Map([
  ["history_lost", "the server no longer has all changes since this page was last connected"],
  ["history_unavailable", "the database does not report the changes since this page was last connected"],
  ["replay_too_long", "too much has changed since this page was last connected"],
  ["too_many_replays", "too many pages are catching up at the same time"],
  ["epoch_unknown", "the record of changes was restarted"],
  ["invalid_cursor", "the server did not understand this page's position"],
  ["invalid_session", "the server does not know this page's session"],
  ["rights_changed", "you may see other orders than before"],
  ["snapshot_too_old", "reading the list took too long"],
  ["rights_undecided", "it could not be told whether a change was of an order that you may see"],
  ["first_start", "the record of changes has begun"],
  ["state_lost", "the record of changes was lost and restarted"],
  ["token_unknown", "the database no longer knows the record of changes"],
  ["database_replaced", "the database was replaced"],
  ["pipeline_changed", "the format of recorded changes is new"],
  ["fields_changed", "other parts of the orders are shown than before"],
  ["collection_dropped", "the collection of orders was dropped"],
  ["collection_renamed", "the collection of orders was renamed"],
  ["database_dropped", "the database was dropped"],
  ["invalidated", "the database ended its record of changes"],
]);

/** @param {string} reason */
export function reasonInWords(reason) {
  return WORDS.get(reason) ?? reason.replaceAll("_", " ");
}
