"""Forks programs from one process that has prepared what they need: a tenth of what a new interpreter takes.

`python -m tests.fork_server FD`: each request that comes at the socket FD is a JSON object with the ``module`` to run,
its ``arguments``, its whole ``environment``, its folder ``cwd`` and the ``descriptors`` that it may have, with two
files: where its output goes, and where its exit code is wanted. The answer is its pid. The server ends, and with it all
programs, when the socket is closed.
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import sys
from typing import Any, NamedTuple

# All that the services and our commands import, but not the module that is run: that is run as `python -m` runs it.
_IMPORTED = ("services.gateway.app", "services.watcher.app")
# What else a program imports is imported once, before the first of them is run.
_IMPORTED_LATER = {"tests.abuse.attackers": "tests.abuse.attackers"}
_LARGEST_REQUEST = 1 << 17
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Program(NamedTuple):
    """A program to be run in this process."""

    module: str
    arguments: list[str]


class Waiting(NamedTuple):
    """A program that runs, and where its exit code is wanted."""

    pid: int
    ended: int


def main() -> None:
    """Serve requests; in each child, run the program."""
    for module in _IMPORTED:
        importlib.import_module(module)
    _prepare()
    gc.collect()
    gc.freeze()  # the children share these pages as long as nobody writes to them
    program = _serve(socket.socket(fileno=int(sys.argv[1])))
    if program is not None:
        sys.argv = [program.module, *program.arguments]
        runpy.run_module(program.module, run_name="__main__", alter_sys=True)


def _prepare() -> None:
    """Make what each gateway makes at its start whatever its settings: most of the CPU that this takes."""
    from services.gateway.http.docs import docs
    from services.gateway.http.page import web_page
    from services.gateway.settings import GatewaySettings

    defaults = GatewaySettings.model_construct()
    web_page(defaults.web_dir, defaults.client_dir, defaults.library_dir)
    for tokens, sign_in in ((False, False), (True, False), (True, True)):
        docs(tokens=tokens, sign_in=sign_in)


def _serve(requests: socket.socket) -> Program | None:
    """Return None when there is nobody left to serve, and in a child its program."""
    with requests, selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if isinstance(key.data, Waiting):
                    selector.unregister(key.fd)
                    _tell_end(key.fd, key.data)
                    continue
                request, files, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 2)
                if not request:
                    return None
                output, ended = files
                asked = json.loads(request)
                if asked["module"] in _IMPORTED_LATER:
                    importlib.import_module(_IMPORTED_LATER[asked["module"]])
                parent, pid = os.getpid(), os.fork()
                if pid == 0:
                    for other in selector.get_map().values():
                        if isinstance(other.data, Waiting):
                            os.close(other.fd)
                            os.close(other.data.ended)
                    os.close(ended)
                    return _become(asked, output, parent)
                os.close(output)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, Waiting(pid, ended))
                requests.send(str(pid).encode())


def _tell_end(pidfd: int, program: Waiting) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(program.pid, 0)[1])
    try:
        os.write(program.ended, str(code).encode())
    except BrokenPipeError:
        pass  # nobody wants to know any more
    finally:
        os.close(program.ended)
        os.close(pidfd)


def _become(request: dict[str, Any], output: int, parent: int) -> Program:
    os.setpgid(0, 0)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    if (descriptors := request["descriptors"]) is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    return Program(request["module"], request["arguments"])


if __name__ == "__main__":
    main()
