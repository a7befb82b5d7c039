"""The product with a bystander in it: how it stands before an attack, and what is different afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

import aiohttp

from tests.abuse.attackers.attacker import Attacker, Tally
from tests.abuse.bystander import Bystander, bystander
from tests.abuse.product import (
    Figures,
    Product,
    complaints_of_log,
    cpu_seconds,
    descriptors,
    forget_peak,
    longest_turn,
    resident,
)
from tests.waiting import patient_clock

PATIENCE = 15.0  # seconds until everything is as it was
MOST_GROWTH = 16.0  # MiB that may stay
# Seconds of CPU time. Hundreds of connections may be ready in the same pass of the loop, and to accept one takes
# 0.15 ms; what one request may take is bounded more tightly (test_turns.py).
LONGEST_TURN = 0.1
MOST_PEAK = 128.0  # MiB more than before, at any time
# What the bystander alone needs: two clients, of two forms; one session, and one stream.
ALONE = {"clients": 2.0, "groups": 2.0, "sessions": 1.0, "admitted_connections": 2.0}
# Answers to a client that has done something wrong, or that comes too often; never that the server has.
_OWN_FAULT = "HTTP 500"


@dataclass(frozen=True)
class Stand:
    """How the processes stand."""

    pids: list[int]
    memory: list[float]
    descriptors: list[int]
    log_sizes: list[int]
    cpu: float


Complaints = Callable[[], Awaitable[list[str]]]


class Scene:
    """Used by `async with`; `set_up` before each attack."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self._exit = AsyncExitStack()
        self._bystander: Bystander | None = None
        self.intact = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def set_up(self) -> None:
        """Put everything in its place; a bystander that nobody ran between two tests has answered no ping."""
        await self._exit.aclose()
        if not self.intact:
            await self.product.restart()
        self._bystander = await self._exit.enter_async_context(bystander(self.product.orders, self.product.gateway.url))
        await self._until(self._alone)
        self.intact = False  # until it is seen to be

    @property
    def bystander(self) -> Bystander:
        assert self._bystander is not None
        return self._bystander

    async def attack(self, attacker: Attacker, seconds: float, seed: int = 0) -> tuple[Tally, list[str]]:
        """Let it attack; return what became of it and everything that is not as it was before."""
        figures = await self.product.figures()
        before = self._stand()
        for pid in before.pids:
            forget_peak(pid)
        self.bystander.begin()
        tally = await self.product.attack(attacker, seconds, seed)
        complaints = await self._complaints(before, figures)
        if tally[_OWN_FAULT]:
            complaints.append(f"{tally[_OWN_FAULT]} requests were answered with an error of the server's own")
        if not tally["connections"]:
            complaints.append("the attacker never got through")
        self.intact = not complaints
        return tally, complaints

    def _stand(self) -> Stand:
        services = self.product.services
        pids = [service.pid for service in services]
        return Stand(
            pids,
            [resident(pid) for pid in pids],
            [descriptors(pid) for pid in pids],
            [len(service.output) for service in services],
            cpu_seconds(self.product.gateway.pid),
        )

    async def _complaints(self, before: Stand, figures: Figures) -> list[str]:
        services = self.product.services
        dead = [each.exit_reason() for each, pid in zip(services, before.pids, strict=True) if not each.running]
        if dead:
            return dead
        found = await self.bystander.complaints(PATIENCE)
        found += await self._until(self._alone)
        found += await self._until(lambda: self._small(before))
        found += await self._held(figures)
        gateway = before.pids[-1]
        peak = resident(gateway, "VmHWM") - before.memory[-1]
        spent = cpu_seconds(gateway) - before.cpu
        print(f"the gateway grew by {peak:.0f} MiB meanwhile and spent {spent:.1f} s of CPU time")  # noqa: T201
        for service, was, size in zip(services, before.memory, before.log_sizes, strict=True):
            peak = resident(service.pid, "VmHWM") - was
            if peak > MOST_PEAK:
                found.append(f"the {service.name} grew by {peak:.0f} MiB meanwhile")
            found += [f"{service.name}: {each}" for each in complaints_of_log(service.output[size:])]
        return found

    async def _held(self, before: Figures) -> list[str]:
        try:
            turn = longest_turn(before, await self.product.figures())
        except (aiohttp.ClientError, TimeoutError):
            return ["the gateway does not say how long its loop was held"]
        print(f"the longest turn of its loop took at most {turn:g} s")  # noqa: T201 - shown where the test fails
        return [f"one turn of the gateway's loop took up to {turn:g} s"] if turn > LONGEST_TURN else []

    async def _until(self, complaints: Complaints) -> list[str]:
        """Return what is wrong, as soon as nothing is, or when there was time enough."""
        async with patient_clock() as clock:
            end = clock() + PATIENCE
            while True:
                try:
                    found = await complaints()
                except (aiohttp.ClientError, TimeoutError) as error:
                    found = [f"the gateway does not answer: {type(error).__name__}"]
                if not found or clock() > end:
                    return found
                await asyncio.sleep(0.1)

    async def _alone(self) -> list[str]:
        figures = await self.product.figures()
        return [
            f"{what} are {_sum(figures, what):.0f}, not {alone:.0f}"
            for what, alone in ALONE.items()
            if _sum(figures, what) != alone
        ]

    async def _small(self, before: Stand) -> list[str]:
        found = []
        for service, memory, files in zip(self.product.services, before.memory, before.descriptors, strict=True):
            grown, opened = resident(service.pid) - memory, descriptors(service.pid) - files
            if grown > MOST_GROWTH:
                found.append(f"the {service.name} keeps {grown:.0f} MiB")
            if opened > 16:
                found.append(f"the {service.name} keeps {opened} files open")
        return found


def _sum(figures: Figures, what: str) -> float:
    name = f"orders_gateway_{what}"
    return sum(value for key, value in figures.items() if key.split(" ")[0] == name)
