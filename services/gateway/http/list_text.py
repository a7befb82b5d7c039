"""Describes lists for the API's description."""

from services.gateway.http.export import EXPORT_SECONDS
from services.gateway.input_rules import MAX_REPEATS
from services.gateway.list_query import MAX_CHOSEN
from services.gateway.order_lists import COUNTED

LIST_TEXT = f"""The list is a snapshot: exactly the orders at the position of `Stream-Cursor`.

Every list is read from an index. What no index serves is refused (422), naming the parameter:

| filters | can be sorted by |
|---|---|
| none | each field |
| `status` | `_id`, `updated_at`, `customer_name`, `status` |
| `customer_name` | `_id`, `updated_at`, `customer_name`, `product_name` |
| `status` and `customer_name` | `_id` |
| `id`, with or without the others | `_id` |

Rights that limit a token to customers or statuses count as these filters.

Equal values are in the order of `_id`, in the same direction. Values of different types are sorted by type, as MongoDB
does (missing ones and null first, then numbers, then text); orders with an array in the field are at the end. A page
may have fewer orders than `limit`; the last one is the one without `next`.

With `Accept: application/x-ndjson` or `text/csv` all orders of the list come in a stream (`limit` of them where it is
given), as they were at one moment. It takes {EXPORT_SECONDS:.0f} seconds at most, as MongoDB keeps the past no longer;
what is cut off has no end of its chunks, so that clients notice. In CSV, a text that a spreadsheet would run as a
formula (it begins with `=`, `+`, `-`, `@`) has an apostrophe in front; further fields by `fields=`.
"""

LIST_PARAMETERS = {
    "limit": "How many orders at most.",
    "after": "Continue after this mark; the `Link` of the previous page has it. In a list by id it is an order's id.",
    "before": "The page before this mark; `Link` has it as `prev`.",
    "id": f"Only these orders; up to {MAX_REPEATS} times.",
    "status": f"Only orders with one of these statuses; up to {MAX_REPEATS} times.",
    "customer_name": f"Only orders of one of these customers, compared exactly; up to {MAX_REPEATS} times.",
    "sort": "What the list is sorted by, with `-` in front for descending order; `-_id` (newest first) by default, and "
    "`-updated_at` with `updated_since`.",
    "q": "Only orders whose id, customer or product begins with this text, exactly as it is written (an ObjectId "
    "also in capitals). First those found by id, then by customer, then by product, each sorted by that. Can be "
    "combined with `customer_name`.",
    "updated_since": "Only orders whose `updated_at` is a date, and not before this time (RFC 3339).",
    "count": f"`true`: say in the header `Total-Count` how many orders the list has; beyond {COUNTED:,} only "
    f"that there are more (`>{COUNTED}`).",
    "fields": f"The fields to show, up to {MAX_CHOSEN} names with a comma between them; or, each with `-` in front, to "
    "leave out. `_id` is always shown.",
}
