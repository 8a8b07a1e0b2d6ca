"""One file, one rule of motion."""
