"""The fields of an order that a client's filter may look at, besides its id."""

# The watcher publishes what these were before an update, so that a gateway can tell an order's leaving a filter.
FILTER_FIELDS = ("status", "customer_name")
