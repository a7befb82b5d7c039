"""Lists and the changes that follow them, as one stream."""
