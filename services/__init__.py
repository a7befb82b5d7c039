"""Real-time orders: a watcher, a gateway, and what brings them up."""

__version__ = "0.1.0"
