"""Generates the load: clients that listen, programs that write."""
