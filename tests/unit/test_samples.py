"""What tests read of metrics is what the parser of Prometheus' client reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.samples import samples


def test_samples_are_those_of_the_official_parser() -> None:
    registry = CollectorRegistry()
    Gauge("level", 'of "water"\nand oil', registry=registry).set(float("-inf"))
    counted = Counter("asked", "how often", ["by", "what"], registry=registry)
    for by in ("Ada", 'a"b', "a\\n", "a\nb", "{x}, y=", ""):
        counted.labels(by, "z").inc(2.5)
    Histogram("took_seconds", "how long", ["way"], registry=registry).labels("north").observe(0.3)
    text = generate_latest(registry).decode()
    expected = [
        (one.name, one.labels, one.value) for each in text_string_to_metric_families(text) for one in each.samples
    ]
    assert [tuple(each) for each in samples(text)] == expected
    assert len(expected) > 20
