"""Measures this project against what people would use instead: `make bench`."""
