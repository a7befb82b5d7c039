"""Where a process of this machine accepts connections, as the kernel says."""

from ipaddress import ip_address
from pathlib import Path


def listening(pid: int) -> set[str]:
    """Return `address:port` of every TCP socket on which the process listens, and the path of every Unix socket."""
    mine = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in mine:
                found.add(_address(fields[1]))
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        accepts = int(fields[3], 16) & 0x10000  # SO_ACCEPTCON
        if accepts and f"socket:[{fields[6]}]" in mine:
            found.add(fields[7] if len(fields) > 7 else "unnamed")
    return found


def _address(text: str) -> str:
    """Parse the kernel's notation: each four bytes in the machine's own order."""
    host, _, port = text.partition(":")
    words = [bytes.fromhex(host[place : place + 8])[::-1] for place in range(0, len(host), 8)]
    return f"{ip_address(b''.join(words))}:{int(port, 16)}"
