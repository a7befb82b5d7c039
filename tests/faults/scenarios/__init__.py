"""What is broken, and how: one file for each part of the stack."""
