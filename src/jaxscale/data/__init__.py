"""One file, one source of examples."""
