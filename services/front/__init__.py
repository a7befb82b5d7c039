"""Accepts each connection to a service, counts it, and closes it if its client stays silent."""
