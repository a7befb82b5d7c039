"""The figures in the README's first lines are those of the pages that they link to."""

import re

from tests.service_process import ROOT


def test_the_headline_figures_are_those_of_the_pages_that_they_lead_to() -> None:
    head = (ROOT / "README.md").read_text(encoding="utf-8").partition("![")[0]
    claims = re.findall(r"^- (.*?)\]\((docs/\w+\.md)\)", head, flags=re.DOTALL | re.MULTILINE)
    assert len(claims) == 3
    for claim, page in claims:
        figures = re.findall(r"\*\*(.+?)\*\*", claim)
        assert figures
        for figure in figures:
            assert figure in (ROOT / page).read_text(encoding="utf-8"), (figure, page)
