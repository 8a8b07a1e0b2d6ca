"""Matplotlib figures, one call each. Needs the `plot` extra."""
