"""A certificate authority for one test, and a certificate of 127.0.0.1 that it has signed."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import HANGS


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority; the server's certificate; its key; both of these in one, as mongod wants them."""

    authority: Path
    certificate: Path
    key: Path
    both: Path


def make_certificates(folder: Path) -> Certificates:
    """Make them in this folder, good for a day."""
    made = Certificates(*(folder / f"{name}.pem" for name in ("authority", "certificate", "key", "both")))
    authority_key = folder / "authority-key.pem"
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
    _openssl(*new, "-subj", "/CN=Authority of one test", "-keyout", authority_key, "-out", made.authority)
    server = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    signed = ("-CA", made.authority, "-CAkey", authority_key, "-addext", "basicConstraints=CA:FALSE")
    _openssl(*new, *server, *signed, "-keyout", made.key, "-out", made.certificate)
    made.both.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=HANGS)
