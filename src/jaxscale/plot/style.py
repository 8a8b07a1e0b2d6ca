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
    "ytick.minor.width": 0.4, "lines.linewidth": 1.2, "savefig.dpi": 200, "pdf.fonttype": 42, "svg.hashsalt": "jaxscale",
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


def ticks(axis: Any, values: Any, *, log: bool) -> None:
    """Put ticks at the swept values, as many as there is room for; long and dense axes keep their own.

    Args:
      axis: matplotlib axis.
      values: that were swept.
      log: the axis is logarithmic.
    """
    swept = np.unique(np.asarray(values, np.float64))
    swept = swept[np.isfinite(swept) & ((swept > 0) | (not log))]
    if not 2 <= len(swept) <= 16 or (log and swept[-1] > 1000 * swept[0]):
        return
    place, labels = np.log(swept) if log else swept, [number(float(v)) for v in swept]
    figure, grid = axis.axes.figure, axis.axes.get_gridspec()
    across = axis.axis_name == "x"
    inches = figure.get_figwidth() / grid.ncols if across else figure.get_figheight() / grid.nrows
    each = [0.065 * (len(label) + 1.5) if across else 0.17 for label in labels]  # inches of a label and its gap
    scale, kept = 0.6 * inches / (place[-1] - place[0]), [0]
    for i in range(1, len(swept)):
        if (place[i] - place[kept[-1]]) * scale >= (each[i] + each[kept[-1]]) / 2:
            kept.append(i)
    axis.set_ticks(swept[kept], [labels[i] for i in kept])
    axis.set_ticks(swept, minor=True)
    axis.set_minor_formatter("")


def plain_decades(axis: Any) -> None:
    """Label a logarithmic axis at powers of ten, or, where it has few, at 1, 2 and 5 times these."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    axis.set_minor_formatter(NullFormatter())
    if 0 < high < 30 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 3 * low else (1, 1.5, 2, 3, 4, 5, 7)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: number(float(v))))


def printed(function: Any) -> Any:
    """Give a drawing function the look of print where it makes the axes; on a caller's axes it is the caller's."""
    import functools

    @functools.wraps(function)
    def wrapped(*args: Any, axes: Any = None, **kwargs: Any) -> Any:
        if axes is not None:
            return function(*args, axes=axes, **kwargs)
        with paper():
            return function(*args, axes=None, **kwargs)

    return wrapped
