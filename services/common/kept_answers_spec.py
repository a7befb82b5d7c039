"""Where the answers to requests with a key are kept: the set-up creates the collection, the gateways use it."""

COLLECTION = "idempotency_keys"
CREATED_AT = "created_at"  # by which MongoDB removes them
KEPT_SECONDS = 86_400
