"""Figures of transitions: a collapse before and after, Binder crossings, seeds of a cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxscale.phase.collapsing import Collapse
from jaxscale.phase.transitions import Transition
from jaxscale.plot.figures import new_axes
from jaxscale.plot.style import COLOURS, colours


def collapse_pair(collapsed: Collapse, *, axes: Sequence[Any] | None = None, control: str = "x", value: str = "y") -> Any:
    """Draw the curves of all sizes as measured, and rescaled; two axes side by side."""
    axes = axes if axes is not None else new_axes(1, 2)[1]
    scaled = collapsed.scaled()
    sizes = np.unique(collapsed.size)
    for size, colour in zip(sizes, colours(sizes)):
        mine = collapsed.size == size
        for ax, (x, y, e) in zip(axes, ((collapsed.control, collapsed.value, collapsed.error), scaled)):
            ax.errorbar(
                x[mine], y[mine], e[mine], fmt="o-" if ax is axes[0] else "o", ms=3, lw=0.8, color=colour, label=f"{size:g}"
            )
    axes[0].axvline(collapsed["threshold"].value, color="0.5", lw=0.8, ls="--")
    axes[0].set_xlabel(control)
    axes[0].set_ylabel(value)
    axes[0].legend(title="size")
    axes[1].set_xlabel(rf"$L^{{1/\nu}}$ ({control} - {collapsed['threshold'].value:.4g})")
    power = collapsed["exponent"].value
    axes[1].set_ylabel(rf"{value} $\times\ L^{{{-power:.3g}}}$" if power else value)
    axes[1].set_title(rf"$\nu$ = {collapsed['nu'].value:.3g}, $S$ = {collapsed.quality:.2g} [{collapsed.status}]")
    return axes


def binder(transition: Transition, *, axes: Any = None) -> Any:
    """Draw Binder cumulants of all sizes with jackknife errors; bands where neighbouring sizes cross."""
    axes = axes if axes is not None else new_axes()[1]
    size, control = transition.table["binder"].dims
    for i, value in enumerate(transition.table[size].values):
        row = transition.table.sel({size: value})
        axes.errorbar(row[control], row["binder"], row["binder_error"], fmt="o-", ms=3, lw=0.8, color=COLOURS[i % len(COLOURS)],
                      label=f"{size} = {value:g}")  # fmt: skip
    for position, error in zip(transition.crossings["position"].values, transition.crossings["error"].values):
        if np.isfinite(position):
            axes.axvspan(position - error, position + error, color="0.5", alpha=0.15, lw=0)
    axes.set_xlabel(control)
    axes.set_ylabel("Binder cumulant")
    axes.set_title(transition.kind)
    axes.legend()
    return axes


def seeds(data: Any, *, cells: Sequence[dict[str, Any]], over: str = "seed", axes: Any = None) -> Any:
    """Draw distributions over seeds at chosen cells, as steps over common bins.

    Args:
      data: DataArray with the dimension `over` and those that the cells name.
      cells: {dimension: value} of each.
      over: dimension of the seeds.
      axes: matplotlib axes.
    """
    axes = axes if axes is not None else new_axes()[1]
    drawn = [np.asarray(data.sel(cell, method="nearest").values, float).ravel() for cell in cells]
    drawn = [values[np.isfinite(values)] for values in drawn]
    bins = np.histogram_bin_edges(np.concatenate(drawn), bins="auto")
    for i, (cell, values) in enumerate(zip(cells, drawn)):
        name = ", ".join(f"{k} = {v:.3g}" for k, v in cell.items())
        axes.hist(values, bins=bins, histtype="step", lw=1.2, density=True, color=COLOURS[i % len(COLOURS)], label=name)
    axes.set_xlabel(str(data.name or ""))
    axes.set_ylabel(f"density over {over}s")
    axes.legend()
    return axes
