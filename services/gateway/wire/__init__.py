"""What goes over the wire, as pure functions: bytes and text in, values out, no I/O."""
