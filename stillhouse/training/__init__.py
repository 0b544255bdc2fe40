"""One loop, many sources."""
