"""Errors between the gateway and MongoDB, one class for each way a caller can react.

StoreError
├── OrderNotFound
├── OutsideRights
├── OrderBusy
├── BatchRefused
├── OrderRefused
│   ├── RuleBroken
│   ├── ValueTaken
│   ├── OrderTooLarge
│   └── AnswerTooLarge
├── SnapshotTooOld
├── TooSlow
├── Overloaded
├── StoreUnavailable
├── OutcomeUnknown
├── CollectionUnfit
└── StoreFailed
"""

from collections.abc import Sequence


class StoreError(Exception):
    """MongoDB did not do the operation."""


class OrderNotFound(StoreError):
    """There is no order with this id."""


class OutsideRights(StoreError):
    """The order would be one that the subject may not see; nothing was written."""


class OrderBusy(StoreError):
    """Another transaction holds the order; nothing was written, and a later retry makes sense."""


class OrderRefused(StoreError):
    """An operator's rule on the collection forbids this order; nothing was written.

    ``rule`` names the rule, ``fields`` the fields it concerns; neither repeats an order's values.
    """

    def __init__(self, rule: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(rule)
        self.rule = rule
        self.fields = fields


class RuleBroken(OrderRefused):
    """The collection's validator, or an index, refuses the order."""


class ValueTaken(OrderRefused):
    """Another order has a value that must be unique."""


class OrderTooLarge(OrderRefused):
    """The order would become larger than MongoDB stores."""


class AnswerTooLarge(OrderRefused):
    """The answer would have more bytes than are kept for a repeat, or sent for a batch."""

    def __init__(self) -> None:
        super().__init__("the size limit for responses to batches and to requests with an Idempotency-Key")


class BatchRefused(StoreError):
    """Some writes of a batch cannot be done, so none was; ``items`` has the place and the error of each."""

    def __init__(self, items: Sequence[tuple[int, StoreError]]) -> None:
        super().__init__(f"{len(items)} of a batch")
        self.items = tuple(items)


class SnapshotTooOld(StoreError):
    """MongoDB no longer has the state of that time: it keeps five minutes, and none from before a change of indexes."""


class TooSlow(StoreError):
    """MongoDB answers, but did not finish this in time."""


class Overloaded(StoreError):
    """MongoDB or this gateway cannot keep up with the requests; nothing was done."""


class StoreUnavailable(StoreError):
    """MongoDB cannot be reached or has no primary; nothing was written, and a later retry makes sense."""


class OutcomeUnknown(StoreError):
    """The write was sent but never acknowledged: it may have been done."""


class CollectionUnfit(StoreError):
    """The orders' collection is of a kind that cannot be served; the message says which."""


class StoreFailed(StoreError):
    """MongoDB refused for a reason that a retry does not cure: rights, version, no replica set."""
