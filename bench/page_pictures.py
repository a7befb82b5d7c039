"""Takes the pictures of the page for the documentation: `python -m bench.page --only pictures`."""

import base64
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from bench.browser import Browser
from bench.moving_picture import Frame, moving
from services.commands import demo

CUSTOMERS = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth")
PRODUCTS = ("Laptop", "Desk lamp", "Office chair", "Keyboard", "Notebook", "Monitor arm", "Headset", "Webcam")
STATUSES = ("pending", "shipped", "delivered")
# The moving one: what `make demo` does, in so many seconds.
MOVING = "page-moving.webp"
MOVING_SECONDS = 10.0
MOST_BYTES = 1_500_000
_WIDTH, _HEIGHT, _SCALE, _QUALITY = 1200, 760, 0.7, 62
SCREENS = {"page": (1360, 900, False), "page-dark": (1360, 900, True), "page-phone": (390, 844, False)}


def take(page: Browser, url: str, orders: Collection[dict[str, Any]], folder: Path) -> None:
    """Show some orders and a few changes of them."""
    orders.delete_many({})
    now = datetime.now(UTC)
    found = [_order(number, now - timedelta(minutes=7 * (60 - number))) for number in range(60)]
    orders.insert_many(found)
    page.open(url)
    for turn, (name, (width, height, dark)) in enumerate(SCREENS.items()):
        page.emulate(width, height, dark=dark)
        # A row that has begun to flash in other colours would end in them.
        page.until("return document.querySelector('#rows').getAnimations({ subtree: true }).length === 0")
        for number in (-2, -4):
            changed = found[number - 6 * turn]
            later = STATUSES[(STATUSES.index(changed["status"]) + 1) % 3]
            orders.update_one({"_id": changed["_id"]}, {"$set": {"status": later, "updated_at": datetime.now(UTC)}})
            time.sleep(0.3)
        orders.insert_one(_order(len(name), datetime.now(UTC)))
        page.until(f"return document.querySelectorAll('#activity li').length >= {(turn + 1) * 3}")
        time.sleep(0.3)  # until it has been painted
        page.driver.save_screenshot(str(folder / f"{name}.png"))


def take_moving(page: Browser, url: str, orders: Collection[dict[str, Any]], folder: Path) -> None:
    """Film the page while the demo writes."""
    orders.delete_many({})
    now = datetime.now(UTC)
    orders.insert_many([_order(number, now - timedelta(minutes=7 * (40 - number))) for number in range(40)])
    page.emulate(_WIDTH, _HEIGHT, dark=False)
    page.open(url)
    writing = threading.Thread(target=demo.run, args=(orders, 40, 4.0, random.Random(5), time.sleep))
    writing.start()
    frames: list[Frame] = []
    began = last = time.monotonic()
    while last - began < MOVING_SECONDS:
        clip = {"x": 0, "y": 0, "width": _WIDTH, "height": _HEIGHT, "scale": _SCALE}
        how = {"format": "webp", "quality": _QUALITY, "clip": clip}
        still = base64.b64decode(page.driver.execute_cdp_cmd("Page.captureScreenshot", how)["data"])
        time.sleep(max(0.0, last + 0.25 - time.monotonic()))
        now_at = time.monotonic()
        frames.append(Frame(still, round((now_at - last) * 1000)))
        last = now_at
    writing.join()
    picture = moving(frames, round(_WIDTH * _SCALE), round(_HEIGHT * _SCALE))
    if len(picture) > MOST_BYTES:
        raise ValueError(f"the moving picture has {len(picture):,} bytes, more than {MOST_BYTES:,}")
    (folder / MOVING).write_bytes(picture)


def _order(number: int, at: datetime) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "customer_name": CUSTOMERS[number * 5 % len(CUSTOMERS)],
        "product_name": PRODUCTS[number * 3 % len(PRODUCTS)],
        "status": STATUSES[number * 7 % 3],
        "updated_at": at,
    }
