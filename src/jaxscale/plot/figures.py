"""Figures people put in papers: a phase diagram with its boundary band, curves with a fit and its band, local slopes.

Every function takes `axes` and returns them; without, it makes a figure. Colours come from colour-blind safe maps.
"""

from typing import Any

import numpy as np

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito


def new_axes(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (4.6, 3.5)) -> tuple[Any, Any]:
    """Make a figure and its axes.

    Raises:
      ModuleNotFoundError: matplotlib is missing; the message has the pip line.
    """
    try:
        from matplotlib.figure import Figure  # no pyplot: nothing global, nothing to close
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "figures need matplotlib, which is missing. Install it with: pip install 'jaxscale[plot]'"
        ) from error
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns)


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
    axes.figure.colorbar(mesh, ax=axes, label=_label(data))
    if band is not None:
        _draw_boundary(axes, band, x)
    if theory is not None:
        axes.plot(*theory, color="white", lw=2, ls="--", scalex=False, scaley=False)
        axes.plot(*theory, color="black", lw=0.8, ls="--", scalex=False, scaley=False)
    _finish(axes, _axis(data, x), _axis(data, y), log, title)
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
    guess = np.where(sure := (parts[0]["status"] != "not established").values, np.nan, parts[0]["position"].values)
    if np.isfinite(guess).any():
        axes.plot(parts[0][x].values, guess, color="white", ls="none", marker="x", ms=5, mew=2.5)
        axes.plot(parts[0][x].values, guess, color="black", ls="none", marker="x", ms=5, mew=1, label="not established")
    if (parts[-1]["status"] == "several").any():
        axes.plot([], [], " ", label="further passages not shown")
    if not sure.all() or (parts[-1]["status"] == "several").any():
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            axes.legend(handles, labels, fontsize="small", framealpha=0.9)


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
        axes.legend(fontsize="small", framealpha=0.9)
    return axes


def curves(
    data: Any,
    *,
    x: str,
    over: str = "seed",
    hue: str | None = None,
    fits: Any = (),
    axes: Any = None,
    log: str = "xy",
    title: str = "",
    colour: int = 0,
) -> Any:
    """Draw means over seeds with standard errors, and fitted laws with their 95 % bands. Where a seed is infinite (censored, as
    `time_to` gives) there is no mean, and no point.

    Args:
      data: DataArray with dims x, `over` and, if given, `hue`.
      x: horizontal axis.
      over: dimension averaged over.
      hue: one curve per value of this dimension.
      fits: one `Fit` per curve, or fewer.
      axes: matplotlib axes.
      log: which of "x", "y" are logarithmic.
      title: of the axes.
      colour: index of the first colour.
    """
    axes = axes if axes is not None else new_axes()[1]
    parts = [(None, data)] if hue is None else [(value, data.sel({hue: value})) for value in data[hue].values]
    for i, (value, part) in enumerate(parts):
        censored = np.isinf(part)
        part = part.where(~(censored.any(over) if over in part.dims else censored))
        shade = COLOURS[(colour + i) % len(COLOURS)]
        mean = part.mean(over) if over in part.dims else part
        error = part.std(over, ddof=1) / np.sqrt(part.count(over)) if over in part.dims else None
        axes.errorbar(
            mean[x], mean, None if error is None else error, fmt="o", ms=3.5, lw=1, color=shade,
            label=None if value is None else f"{hue} = {_number(value)}",
        )  # fmt: skip
    for i, fit in enumerate(fits):
        grid = np.geomspace(fit.x.min(), fit.x.max(), 200)
        middle, low, high = fit.predict(grid)
        shade = COLOURS[(colour + i) % len(COLOURS)]
        axes.plot(grid, middle, lw=1.2, color=shade, label=f"{fit.law.exponent} {fit[fit.law.exponent]}")
        axes.fill_between(grid, low, high, color=shade, alpha=0.2, lw=0)
    if hue is not None or fits:
        axes.legend(fontsize=7, frameon=False)
    _finish(axes, _axis(data, x), _label(data), log, title)
    return axes


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
        axes.legend(fontsize=7, frameon=False)
    _finish(axes, x, "local slope", "x", "")
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
        low, high = sorted(axis.get_view_interval())
        if name in log and high > 12 * low > 0:  # several decades: labels at the powers of ten are enough
            axis.set_minor_formatter("")
    if title:
        axes.set_title(title, fontsize=9)


def _label(data):
    unit = data.attrs.get("units", "")
    return f"{data.name or ''} ({unit})" if unit and unit != "1" else str(data.name or "")


def _axis(data, name):
    """A control parameter with its unit, where its coordinate has one."""
    unit = data[name].attrs.get("units", "") if name in data.coords else ""
    return f"{name} ({unit})" if unit and unit != "1" else name


def _number(value):
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)
