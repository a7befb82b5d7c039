"""MongoDB and Redis in containers, for machines where the embedded servers do not run but Docker does."""

from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

MONGODB_IMAGE = "mongo:7.0"
REDIS_IMAGE = "valkey/valkey:8-alpine"


@contextmanager
def mongodb_container() -> Iterator[str]:
    """Run a mongod that is meant to be a member of the set rs0, and yield its "host:port"; it is not initiated."""
    command = "mongod --replSet rs0 --bind_ip_all --journalCommitInterval 2"
    with _container(MONGODB_IMAGE, 27017, command, says="Waiting for connections") as address:
        yield address


@contextmanager
def redis_container() -> Iterator[str]:
    """Run a server that keeps nothing on disk, and yield its "host:port"."""
    command = "valkey-server --save '' --maxmemory-policy noeviction"
    with _container(REDIS_IMAGE, 6379, command, says="Ready to accept connections") as address:
        yield address


@contextmanager
def _container(image: str, port: int, command: str, *, says: str) -> Iterator[str]:
    container = DockerContainer(image).with_command(command).with_exposed_ports(port)
    # The port itself tells nothing: Docker's proxy answers on it before there is a server behind.
    with container.waiting_for(LogMessageWaitStrategy(says)):
        yield f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
