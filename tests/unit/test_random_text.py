"""Ids that nobody can guess are short, and can stand in a URL as they are."""

import re

from services.common.random_text import random_text


def test_random_text_fits_a_url_and_never_repeats() -> None:
    texts = {random_text(15) for _ in range(1000)}
    assert len(texts) == 1000
    assert all(re.fullmatch(r"[0-9A-Za-z_-]{20}", text) for text in texts)
    assert {"-", "_"} < set("".join(texts)), "of the 64 characters, also the two that other alphabets have otherwise"
