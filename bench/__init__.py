"""Measures this project beside what people would use instead: `make bench`."""
