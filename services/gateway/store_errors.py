"""What can go wrong between the gateway and MongoDB, told apart by what a caller can do about it.

StoreError
├── OrderNotFound
├── OrderBusy
├── OrderRefused
│   ├── RuleBroken
│   ├── ValueTaken
│   └── OrderTooLarge
├── TooSlow
├── StoreUnavailable
├── OutcomeUnknown
├── CollectionUnfit
└── StoreFailed
"""


class StoreError(Exception):
    """MongoDB did not do what was asked."""


class OrderNotFound(StoreError):
    """There is no order of this id."""


class OrderBusy(StoreError):
    """Another transaction holds what was to be written; nothing was written, and trying later makes sense."""


class OrderRefused(StoreError):
    """A rule that the operator gave the collection forbids this order; nothing was written.

    ``rule`` says which, ``fields`` are those that it names; neither repeats what an order holds.
    """

    def __init__(self, rule: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(rule)
        self.rule = rule
        self.fields = fields


class RuleBroken(OrderRefused):
    """The collection's validator, or an index, takes no such order."""


class ValueTaken(OrderRefused):
    """Another order has the value that only one may have."""


class OrderTooLarge(OrderRefused):
    """The order would become larger than MongoDB stores."""


class TooSlow(StoreError):
    """MongoDB answers, but did not answer this in time."""


class StoreUnavailable(StoreError):
    """MongoDB cannot be reached or has no primary; nothing was written, and trying later makes sense."""


class OutcomeUnknown(StoreError):
    """The write was sent, and its answer never came: it may have been done."""


class CollectionUnfit(StoreError):
    """What bears the name of the orders' collection is of a kind that cannot be served; the message says which."""


class StoreFailed(StoreError):
    """MongoDB refused for a reason that trying later does not cure: rights, version, no replica set."""
