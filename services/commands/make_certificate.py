"""Makes the load balancer's certificate for trying TLS: `python -m services.commands.make_certificate FILE`.

It does so if `TLS` is `self-signed`, and the file is missing, expires soon or lacks a name of `ALLOWED_HOSTS`. Key and
certificate are in the one file, as HAProxy wants them. It needs the program `openssl`.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from services.common.error_text import error_text

DAYS = 800  # clients of Apple refuse more than 825
_RENEWED_BEFORE_SECONDS = 30 * 86_400
_SELF_SIGNED = "self-signed"
_LOOPBACK = ("DNS:localhost", "IP:127.0.0.1", "IP:::1")
# Readable for the user of the load balancer, the only other container that mounts the volume.
_READABLE = 0o444


def main(arguments: Sequence[str] = sys.argv[1:], environment: Mapping[str, str] = os.environ) -> int:
    """Make the certificate if one is wanted; return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    wanted = environment.get("TLS", "")
    if wanted not in ("", _SELF_SIGNED):
        print(f"TLS is {wanted!r}; leave it empty or set it to {_SELF_SIGNED!r}.", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    names = subject_names(environment.get("ALLOWED_HOSTS", ""))
    try:
        if wanted == _SELF_SIGNED and not _is_good(path, names):
            _make(path, names)
            print(f"Wrote {path}")
    except subprocess.CalledProcessError as error:
        print(f"The certificate cannot be made: {error.stderr.decode(errors='replace').strip()}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The certificate cannot be made: {error_text(error)}", file=sys.stderr)
        return 1
    return 0


def subject_names(allowed_hosts: str) -> list[str]:
    """Return the alternative names of the certificate: of this machine, and those of `ALLOWED_HOSTS`."""
    hosts = [host.strip() for host in allowed_hosts.split(",")]
    return [*_LOOPBACK, *(f"DNS:{host}" for host in hosts if host not in ("", "*", "localhost"))]


def _is_good(path: Path, names: Sequence[str]) -> bool:
    if not path.exists():
        return False
    found = _openssl("x509", "-in", path, "-noout", "-checkend", _RENEWED_BEFORE_SECONDS, "-ext", "subjectAltName")
    # openssl writes an IPv6 address in a form of its own, so only names are compared.
    there = {name.strip() for name in found.stdout.decode().replace("\n", ",").split(",")}
    return found.returncode == 0 and {name for name in names if name.startswith("DNS:")} <= there


def _make(path: Path, names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:  # the rest of the container is read-only
        key, certificate, both = (Path(folder) / name for name in ("key", "certificate", "both"))
        subject = ["-subj", "/CN=Real-time orders", "-addext", f"subjectAltName={','.join(names)}"]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS]
        _openssl("req", "-x509", *kind, *subject, "-keyout", key, "-out", certificate).check_returncode()
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        both.chmod(_READABLE)
        both.replace(path)  # all of it, or none


def _openssl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)  # noqa: S603, S607


if __name__ == "__main__":
    sys.exit(main())
