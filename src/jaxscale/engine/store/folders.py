"""The folders of a store: how they are made, what in them is ours (nothing else is deleted), and the locks of parts."""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from jaxscale.engine.errors import StoreError
from jaxscale.engine.store.files import no_link, owner, sync_folder

FOLDERS = ("pieces", "checkpoints")
NAME = "[0-9a-f]{20}"  # of what this package writes; nothing else is read, moved or deleted
HALF_WRITTEN = re.compile(rf"\.(manifest\.json|{NAME}(\.npz|\.done)?)\.\d+\.[0-9a-f]{{8}}")
OURS = re.compile(rb"$|\0|PK|\{|[0-9a-f]{1,64}($|PK)")  # nothing yet, or of a piece, manifest, mark or checkpoint
CHECKPOINT = re.compile(rb"[0-9a-f]{64}")


def ours(folder: Path, suffix: str = "") -> list[Path]:
    """Return what has a name that this package gives."""
    name = re.compile(NAME + re.escape(suffix))
    return [file for file in folder.glob(f"*{suffix}") if name.fullmatch(file.name)]


def set_aside(mark: Path, file: Path) -> None:
    """Move a damaged piece away, so that it can be written anew; its mark is void first."""
    for one in (mark, file):
        if os.path.lexists(one):
            one.rename(one.with_name(f"{one.name}.damaged"))


def make_folders(path: Path) -> None:
    """Make the store's folders, their names safe from a power cut."""
    for folder in FOLDERS:
        no_link(path / folder)
    new = [folder for folder in FOLDERS if not (path / folder).is_dir()]
    try:
        for folder in new:
            (path / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store='{path}' cannot be written: {error.strerror}. Choose a folder you may write to.") from error
    for parent in [path, *path.resolve().parents[:3]] if new else []:
        with contextlib.suppress(PermissionError):
            sync_folder(parent)


def part_lock(path: Path, part: tuple[int, int], request: Mapping[str, Any]) -> str:
    """Return the name of a part's lock; parts that cut the sweep in another way must not run beside it, or runs are
    computed twice.

    Raises:
      StoreError: one does.
    """
    cut = f"-of-{part[1]}.{sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]}"
    for other in path.glob("lock.*"):
        if not other.name.endswith(cut) and (holder := owner(other)):
            raise StoreError(
                f"store='{path}' is being written by {holder}, a part that cuts the sweep in another way "
                f"({other.name}). Wait for it, or cut as it does."
            )
    return f"lock.{part[0]}{cut}"
