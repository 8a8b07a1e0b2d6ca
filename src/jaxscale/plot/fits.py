"""A fitted law on one page: the fit with its band, residuals, profiles, extrapolation."""

from typing import Any

import numpy as np

from jaxscale.fitting.checks import scale_of
from jaxscale.fitting.profiles import DEPTH, Profile
from jaxscale.fitting.result import Fit
from jaxscale.plot.figures import new_axes
from jaxscale.plot.style import COLOURS

BEYOND = 10.0  # how many times the largest scale the extrapolation goes


def fit_page(fit: Fit, profiles: dict[str, Profile] | None = None) -> Any:
    """Draw a fit on four panels: data and law, residuals, profiles, and the extrapolation or, for several inputs, law against
    data. Returns the figure.
    """
    figure, axes = new_axes(2, 2)
    band(fit, axes=axes[0, 0])
    residuals(fit, axes=axes[0, 1])
    profile_curves(profiles or fit.profiles, axes=axes[1, 0])
    if len(fit.law.inputs) == 1:
        band(fit, axes=axes[1, 1], beyond=BEYOND)
    else:
        agreement(fit, axes=axes[1, 1])
    return figure


def band(fit: Fit, *, axes: Any = None, beyond: float = 1.0) -> Any:
    """Draw data and law with its 95 % band against the first input; other inputs are colour.

    With several inputs, up to five values of the others are shown. Each run is drawn beside the nearest of them, moved there
    along the law: its distance from the curve is its residual.

    Args:
      fit: the fit.
      axes: matplotlib axes.
      beyond: extrapolate to so many times the largest x.
    """
    axes = axes if axes is not None else new_axes()[1]
    columns, space = fit.columns, fit.how.get("space", "log")
    shown, nearest = _groups(columns[1:])
    for i, rest in enumerate(shown.T):
        colour, mine, x = (
            COLOURS[i % len(COLOURS)],
            np.broadcast_to(nearest == i, fit.y.shape),
            _along(columns[0], beyond, fit.law),
        )
        middle, low, high = fit.predict(np.vstack([x, *(np.full(len(x), value) for value in rest)]))
        there = fit.law.at(np.vstack([columns[0][mine], *(np.full(mine.sum(), value) for value in rest)]), fit.values)
        moved = there * np.exp(fit.residual[mine]) if space == "log" else there + fit.residual[mine]
        error = fit.error[mine] if fit.error.any() else None
        axes.errorbar(columns[0][mine], moved, error, fmt="o", ms=2.5, lw=1, color=colour)
        label = ", ".join(f"{name} = {value:.3g}" for name, value in zip(fit.law.inputs[1:], rest))
        axes.plot(x, middle, color=colour, lw=1.2, label=label or None)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    if len(columns) > 1:
        axes.legend()
    if beyond > 1:
        axes.axvline(columns[0].max(), color="0.6", lw=0.8, ls=":")
    _scales(axes, _along(columns[0], beyond, fit.law), fit)
    axes.set_xlabel(_name(fit, 0))
    axes.set_ylabel(fit.label or "y")
    axes.set_title(f"{fit.law.name} [{fit.status}]" if beyond == 1 else f"to {beyond:g} times the largest scale")
    return axes


def _groups(others):
    """Up to five of the other inputs' values, (inputs, shown), and which one is nearest to each run."""
    if not len(others):
        return np.zeros((0, 1)), 0
    place = np.array([np.log(row) if np.all(row > 0) else row for row in others])
    place = (place - place.mean(1, keepdims=True)) / np.maximum(place.std(1, keepdims=True), 1e-300)
    order = np.argsort(place.sum(0))
    chosen = order[np.unique(np.linspace(0, len(order) - 1, 7).astype(int))[1:-1]] if len(order) > 7 else order
    chosen = chosen[np.unique(others[:, chosen], axis=1, return_index=True)[1]]
    gap = np.sum((place[:, :, None] - place[:, None, chosen]) ** 2, axis=0)
    return others[:, chosen], np.argmin(gap, axis=1)


def residuals(fit: Fit, *, axes: Any = None) -> Any:
    """Draw data less law in order of scale, in the space of the fit; dashed: Huber's delta."""
    axes = axes if axes is not None else new_axes()[1]
    scale = scale_of(fit.law, fit.columns)
    axes.plot(np.argsort(np.argsort(scale)), fit.residual, "o", ms=3, color=COLOURS[0])
    axes.axhline(0, color="0.4", lw=0.8)
    if (delta := fit.how.get("huber")) is not None and np.allclose(fit.weight, 1):
        for sign in (-1, 1):
            axes.axhline(sign * delta, color="0.6", lw=0.8, ls="--")
    axes.set_xlabel("runs, in order of scale")
    axes.set_ylabel("log residual" if fit.how.get("space", "log") == "log" else "residual")
    axes.set_title(f"autocorrelation {fit.goodness['autocorrelation']:.2f}")
    return axes


def profile_curves(profiles: dict[str, Profile], *, axes: Any = None) -> Any:
    """Draw profile likelihoods of the parameters, each in units of its own interval; the line is the 95 % depth."""
    axes = axes if axes is not None else new_axes()[1]
    for i, profile in enumerate(profiles.values()):
        at = profile.value[np.argmin(profile.depth)]
        axes.plot(
            (profile.value - at) / max(profile.high - profile.low, 1e-300),
            profile.depth,
            color=COLOURS[i % len(COLOURS)],
            label=str(profile),
        )
    axes.axhline(DEPTH, color="0.5", lw=0.8, ls="--")
    axes.set_ylim(0, 3 * DEPTH)
    axes.set_xlim(-1.5, 1.5)
    axes.set_xlabel("parameter less best, over its interval")
    axes.set_ylabel("2 x fall of log likelihood")
    if profiles:
        axes.legend()
    return axes


def agreement(fit: Fit, *, axes: Any = None) -> Any:
    """Draw the law against the data, for laws of several inputs."""
    axes = axes if axes is not None else new_axes()[1]
    made = fit.law.at(fit.columns, fit.values)
    ends = [min(made.min(), fit.y.min()), max(made.max(), fit.y.max())]
    axes.plot(ends, ends, color="0.4", lw=0.8)
    axes.plot(made, fit.y, "o", ms=3, color=COLOURS[0])
    axes.set_xlabel(f"{fit.label or 'y'}, law")
    axes.set_ylabel(f"{fit.label or 'y'}, data")
    axes.set_title(f"held out {fit.goodness['hold_out']:.2g}, in sample {fit.goodness['rmse']:.2g}")
    return axes


def _along(x, beyond, law):
    """The curve's x: towards larger scales beyond the data; of a loss, towards smaller ones."""
    if np.all(x > 0):
        low, high = (x.min() / min(beyond, 2.0), x.max()) if law.inputs[0] in law.falling else (x.min(), x.max() * beyond)
        return np.geomspace(low, high, 200)
    return np.linspace(x.min(), x.max() + (beyond - 1) * np.ptp(x) * 0.1, 200)


def _scales(axes, x, fit):
    logs = fit.how.get("space", "log") == "log"
    if np.all(x > 0) and fit.law.inputs[0] not in fit.law.falling and (logs or x.max() > 8 * x.min()):
        axes.set_xscale("log")
    if logs:
        axes.set_yscale("log")
        if fit.y.max() < 10 * fit.y.min():  # less than a decade: plain numbers, not powers of ten
            axes.yaxis.set_major_formatter("{x:.3g}")
            axes.yaxis.set_minor_formatter("{x:.3g}")


def _name(fit, i):
    name = fit.law.inputs[i]
    column = fit.how.get("columns", {}).get(name, name)
    return column if column == name else f"{name} ({column})"
