"""Speaks Socket.IO as the stock client does, as far as an audit needs: connect, recover, listen."""

import json
from abc import abstractmethod
from typing import Any

from tests.faults.shown import from_socketio
from tests.faults.viewers.viewer import Viewer

_UPDATE = b'42["orderUpdate"'


class SocketIOViewer(Viewer):
    """The part above the transport. Like the stock client it keeps ``pid`` and the trailing text of every event."""

    _pid: str | None = None
    _offset: bytes = b""

    @abstractmethod
    def send(self, packet: str) -> None:
        """Send one packet."""

    def take(self, packet: bytes) -> None:
        """Take one Engine.IO packet."""
        if packet.startswith(_UPDATE):
            self.show(from_socketio, packet)
            self._offset = packet[packet.rindex(b',"') + 2 : -2]
        elif packet == b"2":
            self.send("3")
        elif packet.startswith(b"0"):
            self.send("40" + json.dumps(self._auth()))
        elif packet.startswith(b"40"):
            pid = json.loads(packet[2:])["pid"]
            self.greeted(recovered=pid == self._pid)
            self._pid = pid
        elif packet.startswith(b"42"):
            self._event(*json.loads(packet[2:]))
        elif packet.startswith(b"44"):
            self._refused(packet)
        elif packet not in (b"1", b"6", b"41"):
            self.complain(f"unexpected packet {packet[:100]!r}")

    def _auth(self) -> dict[str, Any]:
        auth: dict[str, Any] = {"since": self.since}
        if self.token is not None:
            auth["token"] = self.token
        if self.record.wanted.fields():
            auth["filter"] = self.record.wanted.fields()
        if self._pid is not None:
            auth |= {"pid": self._pid, "offset": self._offset.decode()}
        return auth

    def _event(self, name: str, *args: Any) -> None:
        if isinstance(args[-1], str):
            self._offset = args[-1].encode()
        if name == "resync":
            self.resync(args[0]["reason"], args[0]["cursor"])

    def _refused(self, packet: bytes) -> None:
        # A gateway that was started without MongoDB does not know yet who is revoked, and lets nobody in.
        if b"the stream is not there yet" not in packet and b'"unavailable"' not in packet:
            self.complain(f"refused: {packet[:200]!r}")
        self.drop()
