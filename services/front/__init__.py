"""Meets each connection to a service: accepts it, counts it, and cuts it off where its client says nothing."""
