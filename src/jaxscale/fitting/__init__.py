"""Scaling laws fitted to labelled results, with intervals that say where they come from."""
