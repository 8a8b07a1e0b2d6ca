"""What a mutant is: one bug, planted in one place, and the tests that are there to notice it."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One bug to plant.

    Attributes:
      name: what it does, in words with underscores.
      file: where, below `src/jaxscale`.
      old: the text that is right; it must stand exactly once in the file.
      new: the text with the bug.
      tests: arguments of pytest, chosen so that they take seconds.
      audit: it is one of the audit's, and has to be caught.
      harmless: it changes no behaviour that a test could hold, so it is not counted.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    audit: bool = False
    harmless: bool = False

    def plant(self, root: Path) -> "Undo":
        """Plant the bug in a copy of the repository, and return what takes it out again.

        Raises:
          LookupError: the text to replace does not stand there exactly once.
        """
        path = root / "src/jaxscale" / self.file
        text = path.read_text() if path.exists() else ""
        if (count := text.count(self.old)) != 1 or self.old == self.new:
            raise LookupError(
                f"mutant {self.name}: its text stands {count} times in {self.file}, not once; has it been renamed?\n{self.old}"
            )
        path.write_text(text.replace(self.old, self.new))
        return Undo(path, text)


@dataclasses.dataclass(frozen=True)
class Undo:
    """The file that was changed, and what stood in it."""

    path: Path
    text: str

    def __call__(self) -> None:
        """Put the text back."""
        self.path.write_text(self.text)
