"""Write a fit as files: a machine-readable JSON and the checklist as text."""

import json
import math
from pathlib import Path
from typing import Any

from jaxscale.engine.store.files import write_atomic
from jaxscale.fitting.result import Fit

FORMAT = 1


def as_json(fit: Fit) -> dict[str, Any]:
    """Return everything of a fit but its bootstrap, as plain JSON in full precision; numbers that are not finite are null."""
    intervals = {
        name: {"low": p.low, "high": p.high, "open_low": p.open_low, "open_high": p.open_high, "minima": p.minima}
        for name, p in fit.profiles.items()
    }
    return _plain({
        "format": FORMAT, "law": fit.law.name, "formula": fit.law.formula, "source": fit.law.source, "status": fit.status,
        "reasons": list(fit.reasons), "label": fit.label,
        "estimates": {
            name: {"value": e.value, "error": e.seeds, "window": e.window, "low": e.low, "high": e.high, "over": e.over}
            for name, e in fit.estimates.items()
        },
        "goodness": fit.goodness, "profiles": intervals, "how": fit.how,
        "x": dict(zip(fit.law.inputs, fit.columns.tolist())), "y": fit.y.tolist(), "weight": fit.weight.tolist(),
    })  # fmt: skip


def write(fit: Fit, folder: Path) -> list[Path]:
    """Write fit.json and checklist.txt to a folder, each whole or not at all; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"fit.json": json.dumps(as_json(fit), indent=1), "checklist.txt": f"{fit}\n\n{fit.checklist()}\n"}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]


def _plain(value: Any) -> Any:
    """Return a value as plain JSON: names as text, arrays of numbers as lists, what is not finite as None."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
