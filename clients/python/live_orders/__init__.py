"""An exact, live copy of the orders, and writes to them that are done once."""

from live_orders.changes import Change, Operation, Order
from live_orders.client import LiveOrders
from live_orders.copy_state import Phase, Status
from live_orders.errors import (
    AccessEnded,
    HistoryLost,
    LiveOrdersError,
    OutcomeUnknown,
    Refused,
)
from live_orders.place import Place
from live_orders.transport_choice import Transport
from live_orders.view import View
from live_orders.window import Window
from live_orders.writes import Filter, PendingWrite, WriteState

__all__ = [
    "AccessEnded",
    "Change",
    "Filter",
    "HistoryLost",
    "LiveOrders",
    "LiveOrdersError",
    "Operation",
    "Order",
    "OutcomeUnknown",
    "PendingWrite",
    "Phase",
    "Place",
    "Refused",
    "Status",
    "Transport",
    "View",
    "Window",
    "WriteState",
]

__version__ = "0.1.0"
