"""One file, one thing that learns."""
