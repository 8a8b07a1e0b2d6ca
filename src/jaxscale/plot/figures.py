"""Figures people put in papers: a phase diagram with its boundary band, curves with a fit and its band, local slopes.

Every function takes `axes` and returns them; without, it makes a figure. Colours come from colour-blind safe maps.
"""

from typing import Any

import numpy as np

from jaxscale.plot.style import COLOURS, DOUBLE, SINGLE, colours, name_of, number, paper, plain_decades, printed, ticks

DENSE = 12  # points, from which on a curve is a line with a band


def new_axes(rows: int = 1, columns: int = 1, *, size: tuple[float, float] | None = None) -> tuple[Any, Any]:
    """Make a figure and its axes, one column of a journal wide, or two where there are panels side by side.

    Args:
      rows: of panels.
      columns: of panels.
      size: inches, width and height of the whole.

    Raises:
      ModuleNotFoundError: matplotlib is missing; the message has the pip line.
    """
    try:
        from matplotlib.figure import Figure  # no pyplot: nothing global, nothing to close
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "figures need matplotlib, which is missing. Install it with: pip install 'jaxscale[plot]'"
        ) from error
    width = SINGLE if columns == 1 else DOUBLE
    with paper():
        figure = Figure(figsize=size or (width, rows * max(2.1, min(2.6, 0.8 * width / columns))), layout="constrained")
        return figure, figure.subplots(rows, columns)


@printed
def phase_diagram(
    data: Any, *, x: str, y: str, band: Any = None, theory: Any = None, axes: Any = None, log: str = "xy",
    log_colour: bool = False, title: str = "",
) -> Any:  # fmt: skip
    """Draw a heat map over two control parameters, with a boundary and its band.

    Args:
      data: DataArray with dims (x, y) in any order: average over seeds first.
      x: horizontal axis.
      y: vertical axis.
      band: Dataset of `jaxscale.boundary` along `y`, over `x`: established passages are lines with bands; guesses that are not
        established are crosses, named in the legend.
      theory: (xs, ys) of a line that theory expects, dashed.
      axes: matplotlib axes.
      log: which of "x", "y" are logarithmic.
      log_colour: colour by the logarithm.
      title: of the axes.
    """
    axes = axes if axes is not None else new_axes()[1]
    from matplotlib.colors import LogNorm

    values = np.asarray(data.transpose(y, x).values, np.float64)
    xs, ys = np.asarray(data[x].values, np.float64), np.asarray(data[y].values, np.float64)
    norm = LogNorm() if log_colour else None
    if log_colour:
        values = np.where(values > 0, values, np.nan)
    mesh = axes.pcolormesh(_edges(xs, "x" in log), _edges(ys, "y" in log), values, cmap="cividis", norm=norm)
    scale = axes.figure.colorbar(mesh, ax=axes, label=name_of(data))
    if log_colour:
        plain_decades(scale.ax.yaxis)
    if band is not None:
        _draw_boundary(axes, band, x)
    if theory is not None:
        axes.plot(*theory, color="white", lw=2, ls="--", scalex=False, scaley=False)
        axes.plot(*theory, color="black", lw=0.8, ls="--", scalex=False, scaley=False)
    _finish(axes, name_of(data, x), name_of(data, y), log, title)
    ticks(axes.xaxis, xs, log="x" in log)
    ticks(axes.yaxis, ys, log="y" in log)
    return axes


def _draw_boundary(axes: Any, band: Any, x: str) -> None:
    """Draw what is established of a boundary with its band; what is not is dotted, and named in the legend."""
    parts = [band] if "passage" not in band.dims else [band.isel(passage=k) for k in range(band.sizes["passage"])]
    for part in parts:
        at, position = part[x].values, part["position"].values
        sure = (part["status"] != "not established").values
        line = np.where(sure, position, np.nan)
        axes.fill_between(at, part["low"].values, part["high"].values, where=sure, color="white", alpha=0.45, lw=0)
        axes.plot(at, line, color="white", lw=2, marker="o", ms=3)
        axes.plot(at, line, color="black", lw=0.8, marker="o", ms=1.5)
    first, last = parts[0], parts[-1]
    unsure = (first["status"] == "not established").values
    guess = np.where(unsure, first["position"].values, np.nan)
    if np.isfinite(guess).any():
        axes.plot(first[x].values, guess, color="white", ls="none", marker="x", ms=5, mew=2.5)
        axes.plot(first[x].values, guess, color="black", ls="none", marker="x", ms=5, mew=1, label="not established")
    if (last["status"] == "several").any():
        axes.plot([], [], " ", label="further passages not shown")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=True, framealpha=0.9)


def contour_lines(found: Any, *, axes: Any) -> Any:
    """Draw a `Contour` on axes that hold its diagram: branches with their band; dotted where not established.

    Args:
      found: from `jaxscale.phase.contour`, whose first axis is horizontal.
      axes: matplotlib axes.
    """
    x, y = found.score.dims
    undecided = np.abs(found.score.values.T)
    axes.contourf(found.score[x].values, found.score[y].values, undecided, levels=[0, 1.96], colors="white", alpha=0.45)
    named = False
    for branch in found.branches:
        style = "-" if branch.established else ":"
        axes.plot(branch.x, branch.y, color="white", lw=2, ls=style)
        label = None if branch.established or named else "not established"
        axes.plot(branch.x, branch.y, color="black", lw=0.8, ls=style, label=label)
        named = named or label is not None
    if named:
        axes.legend(frameon=True, framealpha=0.9)
    return axes


@printed
def curves(
    data: Any, *, x: str, over: str = "seed", hue: str | None = None, statistic: str = "mean", fits: Any = (), axes: Any = None,
    log: str = "xy", title: str = "", colour: int = 0, label: str | None = None,
) -> Any:  # fmt: skip
    """Draw a statistic over seeds with its error, and fitted laws with their 95 % bands: dense curves as lines with a band.

    Where a seed is infinite (censored, as `time_to` gives) there is no mean and no point, but there may be a median.

    Args:
      data: DataArray with dims x, `over` and, if given, `hue`.
      x: horizontal axis.
      over: dimension the statistic is over.
      hue: one curve per value of this dimension; colours are in order where its values are numbers.
      statistic: "mean", "median" or "log mean"; errors are standard ones, of the median by its order statistics.
      fits: one `Fit` per curve, or fewer.
      axes: matplotlib axes.
      log: which of "x", "y" are logarithmic.
      title: of the axes.
      colour: index of the first colour.
      label: of a single curve.
    """
    axes = axes if axes is not None else new_axes()[1]
    values = [None] if hue is None else data[hue].values.tolist()
    shades = colours(values) if hue is not None else [COLOURS[colour % len(COLOURS)]]
    for i, (value, shade) in enumerate(zip(values, shades)):
        part = data if hue is None else data.sel({hue: value})
        name = label if hue is None else f"{name_of(data, hue)} = {number(value)}"
        slope = _fitted(axes, fits[i], shade) if i < len(fits) else None
        _curve(axes, part, x, over, statistic, shade, ", ".join(filter(None, (name, slope))) or None)
    if hue is not None or label or len(fits):
        axes.legend(title="exponents" if len(fits) else None)
    _finish(axes, name_of(data, x), name_of(data), log, title)
    ticks(axes.xaxis, data[x].values, log="x" in log)
    return axes


def _curve(axes: Any, part: Any, x: str, over: str, statistic: str, shade: Any, label: str | None) -> None:
    at = part[x].values
    runs = part.transpose(x, over).values.astype(float) if over in part.dims else part.values.astype(float)[:, None]
    middle, low, high = _summary(runs, statistic)
    if len(at) > DENSE:
        axes.plot(at, middle, color=shade, lw=1.2, label=label)
        axes.fill_between(at, low, high, color=shade, alpha=0.25, lw=0)
    else:
        error = None if runs.shape[1] == 1 else np.stack([middle - low, high - middle])
        axes.errorbar(at, middle, error, fmt="o", ms=3, lw=1, color=shade, label=label)


def _summary(runs: np.ndarray, statistic: str) -> tuple[np.ndarray, ...]:
    """Return a statistic over (points, seeds) and the ends of its error bar; NaN seeds are left out."""
    if statistic == "median":
        runs = np.sort(np.where(np.isnan(runs), np.inf, runs), axis=1)
        count = runs.shape[1]
        reach = int(np.ceil(np.sqrt(count) / 2))  # of one standard deviation of the rank
        middle = np.median(runs, axis=1)
        ranks = ((count - 1) // 2 - reach + 1, count // 2 + reach - 1)
        low, high = (runs[:, int(np.clip(rank, 0, count - 1))] for rank in ranks)
        return tuple(np.where(np.isfinite(a) & np.isfinite(middle), a, np.nan) for a in (middle, low, np.maximum(high, middle)))
    work = np.log(np.where(runs > 0, runs, np.nan)) if statistic == "log mean" else runs
    work = np.where(np.isinf(work).any(axis=1, keepdims=True), np.nan, work)
    known = np.isfinite(work)
    count = np.maximum(known.sum(axis=1), 1)
    middle = np.where(known.any(axis=1), np.where(known, work, 0).sum(axis=1) / count, np.nan)
    square = np.where(known, (work - middle[:, None]) ** 2, 0).sum(axis=1) / np.maximum(count - 1, 1)
    error = np.sqrt(square / count)
    ends = (middle, middle - error, middle + error)
    return tuple(np.exp(a) for a in ends) if statistic == "log mean" else ends


def _fitted(axes: Any, fit: Any, shade: Any) -> str:
    """Draw a fitted law with its band; return its exponent with the sign of the slope that is seen."""
    grid = np.geomspace(fit.x.min(), fit.x.max(), 200)
    middle, low, high = fit.predict(grid)
    axes.plot(grid, middle, lw=1.0, color=shade)
    axes.fill_between(grid, low, high, color=shade, alpha=0.2, lw=0)
    found = fit[fit.law.exponent]
    sign = 1 if middle[-1] > middle[0] else -1
    half = (found.high - found.low) / 2
    digits = max(0, 1 - int(np.floor(np.log10(half)))) if np.isfinite(half) and half > 0 else 2
    return f"{sign * abs(found.value):+.{digits}f} ± {half:.{digits}f}"


@printed
def slopes(table: Any, *, x: str, expected: float | None = None, label: str = "", axes: Any = None) -> Any:
    """Draw local slopes with error bars, and the value they should drift to.

    Args:
      table: Dataset from `jaxscale.local_slopes`.
      x: its axis.
      expected: horizontal line.
      label: of the curve.
      axes: matplotlib axes.
    """
    axes = axes if axes is not None else new_axes()[1]
    line = axes.errorbar(table[x], table["slope"], table["error"], fmt="o-", ms=3.5, lw=1, label=label or None)
    if expected is not None:
        axes.axhline(expected, ls="--", lw=0.9, color=line[0].get_color())
    if label:
        axes.legend()
    _finish(axes, name_of(table, x), "local slope", "x", "")
    return axes


def _edges(centres, log):
    """Cell edges half-way between centres, in the logarithm when asked."""
    c = np.log(centres) if log else centres
    if len(c) == 1:
        edges = np.array([c[0] - 0.5, c[0] + 0.5])
    else:
        middle = (c[1:] + c[:-1]) / 2
        edges = np.concatenate([[2 * c[0] - middle[0]], middle, [2 * c[-1] - middle[-1]]])
    return np.exp(edges) if log else edges


def _finish(axes, x, y, log, title):
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        if name in log:
            plain_decades(axis)
    if title:
        axes.set_title(title)
