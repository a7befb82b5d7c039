"""The orders as a Socket.IO namespace."""
