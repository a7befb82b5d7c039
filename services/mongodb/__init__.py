"""The change stream of MongoDB: open, read, classify its errors."""
