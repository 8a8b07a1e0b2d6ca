"""How figures look in print: the one place of their sizes, fonts and colours."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

SINGLE, DOUBLE = 3.35, 6.9  # inches: one column of a journal, and two
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito
ORDERED = "viridis"  # of curves whose hue is a number: its order is seen
RC: Any = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "figure.titlesize": 7, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 6.5, "legend.frameon": False, "legend.handlelength": 1.4, "legend.labelspacing": 0.3,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4, "lines.linewidth": 1.2, "savefig.dpi": 300, "pdf.fonttype": 42, "svg.hashsalt": "jaxscale",
}  # fmt: skip


def paper() -> AbstractContextManager[Any]:
    """Give figures that are made inside it the look of print; matplotlib's own settings are as before afterwards."""
    import matplotlib

    return matplotlib.rc_context(RC)


def save(figure: Any, stem: str | Path, formats: Sequence[str] = ("png", "svg", "pdf")) -> list[Path]:
    """Write a figure as STEM.png, STEM.svg, ...; the same figure gives the same bytes.

    Args:
      figure: matplotlib figure.
      stem: path without its ending.
      formats: endings.
    """
    paths = [Path(f"{stem}.{ending}") for ending in formats]
    dates = {"svg": "Date", "pdf": "CreationDate"}
    with paper():
        for path in paths:
            key = dates.get(path.suffix[1:])
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={key: None} if key else None)
    return paths


def colours(values: Any) -> list[Any]:
    """Return a colour for every curve: along a scale where the values are three numbers or more, apart otherwise."""
    numbers = all(isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in values)
    if numbers and len(values) > 2:
        from matplotlib import colormaps

        return [colormaps[ORDERED](place) for place in np.linspace(0.0, 0.88, len(values))]  # its end is too pale for lines
    return [COLOURS[i % len(COLOURS)] for i in range(len(values))]


def name_of(data: Any, name: str | None = None) -> str:
    """Return how an array, or one of its axes, is called in a figure: symbol or name, and unit."""
    part = data if name is None else data[name] if name in data.coords else None
    attrs = {} if part is None else part.attrs
    plain = str((data.name or "") if name is None else name).replace("_", " ")
    unit = attrs.get("units", "")
    return f"{attrs.get('symbol') or plain} ({unit})" if unit and unit != "1" else str(attrs.get("symbol") or plain)


def number(value: Any) -> str:
    """Return a value as tick or legend: three digits, thousands as they are."""
    if isinstance(value, float | np.floating):
        value = float(value)
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}" if abs(value) < 1e5 else f"{value:.2g}"
    return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def ticks(axis: Any, values: Any, *, log: bool, most: int = 7) -> None:
    """Put ticks at the swept values, as many as there is room for; long and dense axes keep their own.

    Args:
      axis: matplotlib axis.
      values: that were swept.
      log: the axis is logarithmic.
      most: labels side by side.
    """
    swept = np.unique(np.asarray(values, np.float64))
    swept = swept[np.isfinite(swept) & ((swept > 0) | (not log))]
    if not 2 <= len(swept) <= 16 or (log and swept[-1] > 3e4 * swept[0]):
        return
    place = np.log(swept) if log else swept
    kept = [0]
    for i in range(1, len(swept)):
        if place[i] - place[kept[-1]] >= (place[-1] - place[0]) / most:
            kept.append(i)
    axis.set_ticks(swept[kept], [number(float(swept[i])) for i in kept])
    axis.set_ticks(swept, minor=True)
    axis.set_minor_formatter("")
