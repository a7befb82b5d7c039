"""Handles a connection before its transport is known: admission, origin, limits, backpressure."""
