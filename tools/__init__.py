"""What writes documentation."""
