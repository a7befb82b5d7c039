"""What can go wrong between the gateway and MongoDB, told apart by what a caller can do about it.

StoreError
├── OrderNotFound
├── StoreUnavailable
├── OutcomeUnknown
└── StoreFailed
"""


class StoreError(Exception):
    """MongoDB did not do what was asked."""


class OrderNotFound(StoreError):
    """There is no order of this id."""


class StoreUnavailable(StoreError):
    """MongoDB cannot be reached or has no primary; nothing was written, and trying later makes sense."""


class OutcomeUnknown(StoreError):
    """The write was sent, and its answer never came: it may have been done."""


class StoreFailed(StoreError):
    """MongoDB refused for a reason that trying later does not cure: rights, version, no replica set."""
