"""The garbage collector: no run but the rare full ones looks at many objects."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from services.common.process import tune_gc


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_objects_that_stay_are_looked_at_in_small_portions() -> None:
    looked_at: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            looked_at.append(sum(len(gc.get_objects(each)) for each in range(info["generation"] + 1)))

    tune_gc()
    gc.callbacks.append(note)
    kept = [{"order": [number]} for number in range(150_000)]
    gc.callbacks.remove(note)
    assert len(kept) == 150_000
    assert len(looked_at) > 100
    assert max(looked_at) < 30_000
