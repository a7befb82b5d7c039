"""The wire formats as pure functions: bytes and text in, values out, no I/O."""
