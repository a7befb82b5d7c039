"""What an operator or a container runs once."""
