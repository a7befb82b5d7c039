"""Shows what a service on this machine is ready for, and what is missing: `python -m services.commands.probe 3002`."""

import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT = 2.5


def main() -> int:
    """Return 0 if /readyz on the given port returns 200, else 1; print the response."""
    connection = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(4096).decode(errors="replace")
    except (OSError, HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    print(body)
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
