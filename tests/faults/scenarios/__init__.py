"""The scenarios: one file for each part of the stack that is broken."""
