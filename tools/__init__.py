"""Tools that write documentation."""
