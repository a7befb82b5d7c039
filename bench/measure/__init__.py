"""The measures: each file answers one question about speed or size."""
