"""An order as the auditor keeps it: few enough fields to keep hundreds of thousands of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

STATUSES = ("pending", "shipped", "delivered")


class Content(NamedTuple):
    """An order's fields; ``stamp`` is the number of the write that set them, unique in one audit."""

    customer: str
    stamp: int
    status: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A client's filter: one customer, one status, or neither, which is everything.

    With ``rights`` it has a token, for the orders that fit any of them.
    """

    customer: str | None = None
    status: str | None = None
    rights: tuple["Wanted", ...] | None = None

    def fits(self, content: Content | None) -> bool:
        """Tell whether an order with this content is in the client's view; None is not."""
        if content is None:
            return False
        is_wanted = self.customer in (None, content.customer) and self.status in (None, content.status)
        return is_wanted and self.may_see(content)

    def may_see(self, content: Content | None) -> bool:
        """Tell whether an order with this content is within the client's rights; None is not, unless it has all."""
        if self.rights is None or Wanted() in self.rights:
            return True
        return content is not None and any(each.fits(content) for each in self.rights)

    def claim(self) -> object:
        """Return the rights as a token says them."""
        rights = self.rights or ()
        return "*" if Wanted() in rights else [each.fields() for each in rights]

    def fields(self) -> dict[str, str]:
        """Return the filter as Socket.IO's `subscribe` and the query strings take it."""
        both = {"customer_name": self.customer, "status": self.status}
        return {name: value for name, value in both.items() if value is not None}


def stamped(number: int) -> str:
    """Return the product name that carries the stamp through MongoDB, REST and every transport."""
    return f"#{number}"


def content(document: dict[str, Any]) -> Content | None:
    """Parse an order from MongoDB or REST; None for one that none of our writers has made."""
    try:
        product = document["product_name"]
        if not product.startswith("#"):
            return None
        return Content(document["customer_name"], int(product[1:]), document["status"])
    except (KeyError, ValueError, AttributeError, TypeError):
        return None
