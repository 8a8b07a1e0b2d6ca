"""One file, one law."""
