"""Writes documentation."""
