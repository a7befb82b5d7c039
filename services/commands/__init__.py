"""Commands that an operator or a container runs once."""
