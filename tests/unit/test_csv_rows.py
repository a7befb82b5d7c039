"""Lines of CSV are those that the module `csv` writes, which takes too long for a line of megabytes."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.http.csv_rows import csv_line

_TEXTS = st.text(st.sampled_from("a ,\"\r\n'=\t;\\é🦊"), max_size=6)


@given(st.lists(_TEXTS, min_size=2, max_size=5))
def test_a_line_is_quoted_as_everywhere(values: list[str]) -> None:
    expected = io.StringIO()
    csv.writer(expected).writerow(values)
    assert csv_line(values) == expected.getvalue().encode()
