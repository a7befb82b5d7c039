"""Names the collection of revocations and what decides when one is removed: the set-up prepares it, gateways use it."""

COLLECTION = "revocations"
UNTIL = "until"  # a TTL index removes the document then
CHANGED_AT = "changed_at"  # by MongoDB's clock: gateways look for what has changed since they looked last
