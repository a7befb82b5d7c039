"""A Chromium that measures the page in it: frames, the response to clicks, the heap, requests and bytes."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

WIDTH, HEIGHT = 1360, 900
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    f"--window-size={WIDTH},{HEIGHT}",
)
# A click is answered when the frame after its handlers has been painted; it began when the browser received it.
_METER = """
  window.meter = { frames: 0, clicks: [], began: performance.now() };
  const frame = () => { meter.frames += 1; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  addEventListener("click", (event) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => meter.clicks.push(performance.now() - event.timeStamp);
      port2.postMessage(null);
    });
  }, { capture: true });
"""
SCROLL = """
  const speed = arguments[0];
  let last = performance.now();
  window.scrolling = true;
  const step = (now) => {
    scrollBy({ top: speed * (now - last) / 1000, behavior: "instant" });
    last = now;
    if (window.scrolling) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
"""
_FIRST_ROW = """
  const seen = () => document.querySelector("#rows tr") && performance.mark("first row");
  new MutationObserver((_, self) => seen() && self.disconnect()).observe(document, { subtree: true, childList: true });
"""
# As Lighthouse's "slow 4G": 1.6 Mbit/s down, 750 kbit/s up, 150 ms there and back.
_SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}


@dataclass(frozen=True)
class Flow:
    """What was measured over a while; times in milliseconds, sizes in MB."""

    frames: float
    click: float
    click95: float
    heap_before: float
    heap_after: float


@dataclass(frozen=True)
class ColdLoad:
    """One load with an empty cache."""

    requests: int
    kilobytes: float
    first_row: float


class Browser:
    """The page as it is measured."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, seconds: float = 30.0) -> Any:
        """Return the script's first true value."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(script)
            time.sleep(0.05)
        return value

    def open(self, url: str) -> None:
        self.driver.get(url)
        self.until("return document.querySelector('#indicator').dataset.state === 'live'")

    def cold_load(self, url: str) -> ColdLoad:
        """Load the page over an emulated slow 4G, the cache being empty."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _FIRST_ROW})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", _SLOW_4G)
        self.open(url)
        first_row = self.until("return performance.getEntriesByName('first row')[0]?.startTime")
        sizes: list[float] = self.run(
            "const entries = ['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type));"
            "return entries.map((entry) => entry.transferSize)"
        )
        return ColdLoad(len(sizes), sum(sizes) / 1000, float(first_row))

    def emulate(self, width: int, height: int, *, dark: bool) -> None:
        """Be a screen of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 500})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.run("return document.body.offsetWidth")  # laid out

    def flow(self, seconds: float, targets: Sequence[str], scroll: float = 0.0) -> Flow:
        """Measure for a while, clicking on the targets in turn twice a second, scrolling by so many pixels a second."""
        before = self._heap()
        self.run(_METER)
        if scroll:
            self.run(SCROLL, scroll)
        began = time.monotonic()
        turn = 0
        while (now := time.monotonic()) < began + seconds:
            self._click(targets[turn % len(targets)])
            turn += 1
            time.sleep(max(0.0, 0.5 - (time.monotonic() - now)))
        frames, clicks = self.run(
            "window.scrolling = false; return [meter.frames / (performance.now() - meter.began) * 1000, meter.clicks]"
        )
        time.sleep(1.0)
        return Flow(frames, median(clicks), quantiles(clicks, n=20)[-1], before, self._heap())

    def _click(self, selector: str) -> None:
        x, y = self.run(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]",
            selector,
        )
        for kind in ("mousePressed", "mouseReleased"):
            where = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", where)

    def _heap(self) -> float:
        self.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        used: float = self.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
        return used / 1e6


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Run the system's Chromium."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield Browser(driver)
    finally:
        driver.quit()
