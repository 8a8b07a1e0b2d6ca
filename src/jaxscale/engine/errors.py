"""The one exception of the engine's own."""


class StoreError(ValueError):
    """The store cannot be used as asked; the message says why and what to do."""
