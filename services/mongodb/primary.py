"""Counts elections: an old primary may keep answering with a change stream that shows no changes any more."""

from pymongo.monitoring import (
    TopologyClosedEvent,
    TopologyDescriptionChangedEvent,
    TopologyListener,
    TopologyOpenedEvent,
)


class Primary(TopologyListener):
    """Notices elections; pass it to the client as one of its ``event_listeners``."""

    def __init__(self) -> None:
        self.elections = 0
        self._address: tuple[str, int | None] | None = None

    def opened(self, event: TopologyOpenedEvent) -> None:
        """Nothing is known yet."""

    def description_changed(self, event: TopologyDescriptionChangedEvent) -> None:
        """Count a change of primary."""
        for address, server in event.new_description.server_descriptions().items():
            if server.is_writable and address != self._address:
                self.elections += self._address is not None
                self._address = address

    def closed(self, event: TopologyClosedEvent) -> None:
        """Nothing follows."""
