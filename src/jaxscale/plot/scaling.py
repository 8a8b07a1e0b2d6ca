"""Figures of transitions: a collapse before and after, Binder crossings, seeds of a cell, claimed against found."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxscale.phase.collapsing import Collapse
from jaxscale.phase.transitions import Transition
from jaxscale.plot.figures import COLOURS, new_axes


def collapse_pair(collapsed: Collapse, *, axes: Sequence[Any] | None = None, control: str = "x", value: str = "y") -> Any:
    """Draw the curves of all sizes as measured, and rescaled; two axes side by side."""
    axes = axes if axes is not None else new_axes(1, 2)[1]
    scaled = collapsed.scaled()
    for i, size in enumerate(np.unique(collapsed.size)):
        mine, colour = collapsed.size == size, COLOURS[i % len(COLOURS)]
        for ax, (x, y, e) in zip(axes, ((collapsed.control, collapsed.value, collapsed.error), scaled)):
            ax.errorbar(
                x[mine], y[mine], e[mine], fmt="o-" if ax is axes[0] else "o", ms=3, lw=0.8, color=colour, label=f"{size:g}"
            )
    axes[0].axvline(collapsed["threshold"].value, color="0.5", lw=0.8, ls="--")
    axes[0].set_xlabel(control)
    axes[0].set_ylabel(value)
    axes[0].legend(fontsize=7, frameon=False, title="size")
    axes[1].set_xlabel(f"L^(1/nu) ({control} - {collapsed['threshold'].value:.4g}), nu = {collapsed['nu'].value:.3g}")
    axes[1].set_ylabel(value if not collapsed["exponent"].value else f"{value} L^({-collapsed['exponent'].value:.3g})")
    axes[1].set_title(f"S = {collapsed.quality:.2g} [{collapsed.status}]", fontsize=9)
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
    axes.set_title(transition.kind, fontsize=9)
    axes.legend(fontsize=7, frameon=False)
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
    axes.legend(fontsize=7, frameon=False)
    return axes


def forest(report: Any, *, axes: Any = None) -> Any:
    """Draw claimed against found: each claim's range as a bar, in units of its own middle and width, and what was measured.

    Args:
      report: of `jaxscale.run_study`.
      axes: matplotlib axes.
    """
    claims = [c for c in report.study.claims if np.isfinite(c.low) or np.isfinite(c.high)]
    axes = axes if axes is not None else new_axes(size=(6.4, 0.32 * max(len(claims), 4) + 0.8))[1]
    for row, claim in enumerate(claims):
        measured = report.found.get(claim.name)
        low = claim.low if np.isfinite(claim.low) else claim.high - abs(claim.high)
        high = claim.high if np.isfinite(claim.high) else claim.low + abs(claim.low)
        middle, half = (low + high) / 2, max((high - low) / 2, 1e-12)
        axes.plot([-1, 1], [row, row], lw=6, color="0.85", solid_capstyle="butt")
        if measured is None:
            continue
        met = claim.verdict(measured) == "met"
        place = float(np.clip((measured.value - middle) / half, -4, 4))
        axes.errorbar(
            place, row, xerr=min(measured.error / half, 4), fmt="o" if met else "X", ms=5, color=COLOURS[2 if met else 1]
        )
    axes.set_yticks(range(len(claims)), [c.name for c in claims], fontsize=7)
    axes.set_xlim(-4.5, 4.5)
    axes.invert_yaxis()
    axes.set_xlabel("found, in half-widths of the claimed range")
    axes.set_title(f"{report.study.name}, {report.scale}", fontsize=9)
    return axes
