"""Runs the gateway: `python -m services.gateway`."""

from services.common.process import run_service
from services.gateway.app import run
from services.gateway.settings import GatewaySettings


def main() -> None:
    """Run until stopped."""
    run_service("gateway", GatewaySettings, run)


if __name__ == "__main__":
    main()
