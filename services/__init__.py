"""Real-time orders: a watcher, a gateway, and the programs that set them up and run them."""

__version__ = "0.1.0"
