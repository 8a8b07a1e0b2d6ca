"""Sequence models: a decoder with a choice of mixers, what is measured inside, how they are adapted and grown."""
