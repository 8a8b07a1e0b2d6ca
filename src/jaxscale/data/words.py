"""Real text word by word, and which class of word comes next where a corpus is tagged."""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data import brown, text
from jaxscale.data.errors import HINTS
from jaxscale.data.world import Example
from jaxscale.records import record, static

RARE = "<rare>"


@functools.lru_cache(maxsize=4)
def encoded(source: str, most: int) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Return ((n,) uint16 or int32 word numbers, (n,) int8 classes or None without tags, the words in order, `RARE` first).

    Args:
      source: "brown" or a folder of its files, tagged; else as for `text.load`: words in lower case, punctuation marks apart.
      most: size of the vocabulary, the most frequent words and `RARE`.
    """
    if source == "brown" or (source not in HINTS and Path(source).expanduser().is_dir()):
        words, classes = brown.tagged(source)
    else:
        words, classes = split(text.load(source)), None
    counts = Counter(words[: text.held_out_from(words)])  # of what is trained on
    vocabulary = [RARE, *sorted(counts, key=lambda word: (-counts[word], word))[: most - 1]]
    number = {word: i for i, word in enumerate(vocabulary)}
    kind = np.uint16 if len(vocabulary) <= 65536 else np.int32
    codes = np.fromiter((number.get(word, 0) for word in words), kind, len(words))
    return codes, None if classes is None else np.array(classes, np.int8), tuple(vocabulary)


def split(prose: str) -> tuple[str, ...]:
    """Split prose into words in lower case and punctuation marks."""
    return tuple(re.findall(r"\w+(?:'\w+)?|[^\w\s]", prose.lower()))


@record
class WordText:
    """Windows of a real text, word by word. The last tenth is held out, and each run draws its own windows of it; of the Brown
    corpus these are the last of its genres, fiction and humour.

    Attributes:
      source: as for `encoded`. Static.
      context: T. Static.
      words: size of the vocabulary; rarer words become one. Static.
      evaluation: held-out windows. Static.
    """

    source: str = static(default="pydoc")
    context: int = static(default=9)
    words: int = static(default=2000)
    evaluation: int = static(default=256)

    def check(self):
        """Raise unless the text can be read and is longer than its windows."""
        if self.words < 2 or self.context < 1 or self.evaluation < 1:
            raise ValueError(
                f"WordText needs words >= 2, context >= 1 and evaluation >= 1; got {self.words}, {self.context} and "
                f"{self.evaluation}."
            )
        text.check_length(self.source, len(self._encoded()[0]), "words", self.context)

    @property
    def vocabulary(self) -> int:
        """Count the words told apart, the one for rare words among them."""
        return len(self._encoded()[2])

    def spell(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text, a space between two."""
        return " ".join(self._encoded()[2][token] for token in tokens)

    def read(self, prose: str) -> list[int]:
        """Turn text into tokens; words that are not in the vocabulary become `RARE`."""
        number = {word: i for i, word in enumerate(self._encoded()[2])}
        return [number.get(word, 0) for word in split(prose)]

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw (evaluation,) places where held-out windows begin. The text itself is a constant, shared by all runs."""
        codes = self._encoded()[0]
        return jax.random.randint(key, (self.evaluation,), text.held_out_from(codes), len(codes) - self.context)

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw a window of the first nine tenths."""
        del frozen
        codes = self._encoded()[0]
        start = jax.random.randint(key, (), 0, text.held_out_from(codes) - self.context)
        return text.window(codes, start, self.context)

    def held_out(self, frozen: jax.Array) -> Example:
        """Return the windows of the last tenth that begin at the frozen places."""
        return jax.vmap(lambda start: text.window(self._encoded()[0], start, self.context))(frozen)

    def next_class(self, frozen: jax.Array, test: Example) -> jax.Array:
        """Return (evaluation,) class of the word after each held-out window by the corpus's own tag of it, -1 for none.

        Raises:
          ValueError: the source has no tags.
        """
        del test
        classes = self._encoded()[1]
        if classes is None:
            raise ValueError(
                f"the text '{self.source}' is not tagged; word classes need source='brown' or a folder of its files."
            )
        return jnp.asarray(classes)[frozen + self.context].astype(jnp.int32)

    def _encoded(self):
        return encoded(self.source, self.words)


TINY = WordText(evaluation=8)
