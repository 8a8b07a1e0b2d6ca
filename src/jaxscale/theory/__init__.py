"""One file, one body of closed forms."""
