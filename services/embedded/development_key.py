"""The secret of the tokens of `make run`: made at its first start, kept in the data folder."""

import os
import secrets
from pathlib import Path

from services.common.auth import DEVELOPMENT_KEY
from services.embedded.errors import EmbeddedError

_BYTES = 32


def development_key(folder: Path) -> Path:
    """Return the file with the secret, readable for its owner only; raise EmbeddedError."""
    path = folder / DEVELOPMENT_KEY
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Exclusively, so that a file which somebody else has put there is neither followed nor overwritten.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise EmbeddedError(f"The key of the tokens cannot be made: {path}: {error.strerror}") from error
    return path
