"""The documentation of settings and metrics matches the code."""

from services.common.settings import CommonSettings
from services.gateway.settings import GatewaySettings
from services.watcher.settings import WatcherSettings
from tools.reference import ENV_EXAMPLE, OPERATIONS, env_example, filled, metrics


def test_the_tables_of_the_operations_manual_are_up_to_date() -> None:
    text = OPERATIONS.read_text("utf-8")
    assert filled(text) == text, "run python -m tools.reference"


def test_the_example_of_an_env_file_is_up_to_date() -> None:
    assert ENV_EXAMPLE.read_text("utf-8") == env_example(), "run python -m tools.reference"


def test_a_variable_means_the_same_to_both_services() -> None:
    both = set(GatewaySettings.model_fields) & set(WatcherSettings.model_fields)
    assert both == set(CommonSettings.model_fields)


def test_metrics_are_named_by_convention_and_described() -> None:
    for name, kind, text in metrics():
        assert name.startswith(("orders_gateway_", "orders_watcher_"))
        assert name.endswith("_total") == (kind == "counter")
        assert text.endswith("."), name
