"""Claimed against found: the range of every claim, and the interval of what was measured."""

from typing import Any

import numpy as np

from jaxscale.plot.figures import new_axes
from jaxscale.plot.style import COLOURS, DOUBLE, printed

SHADES = {"met": COLOURS[2], "NOT MET": COLOURS[1], "undecided": COLOURS[4]}
END = 4.0  # half-widths of the range; what lies beyond is drawn there as an arrow


@printed
def forest(report: Any, *, axes: Any = None) -> Any:
    """Draw each claim's range as a bar, in units of its own half-width, and what was measured with its 95 % interval.

    Args:
      report: of `jaxscale.run_study`.
      axes: matplotlib axes.
    """
    claims = report.study.claims
    axes = axes if axes is not None else new_axes(size=(DOUBLE, 0.26 * max(len(claims), 3) + 0.9))[1]
    for row, claim in enumerate(claims):
        low, high = _ends(claim)
        axes.plot([-1 if np.isfinite(claim.low) else -END, 1 if np.isfinite(claim.high) else END], [row, row], lw=7,
                  color="0.86", solid_capstyle="butt", zorder=0)  # fmt: skip
        found = report.found.get(claim.name)
        shade = SHADES.get(claim.verdict(found), "0.6")
        parts = () if found is None else found.parts.values() or (found,)
        for part in parts:
            _bar(axes, row, part, len(parts), (low + high) / 2, max((high - low) / 2, 1e-12), shade)
        text = claim.verdict(found) + (f"   control: {report.controls[claim.name]}" if claim.name in report.controls else "")
        axes.annotate(text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=6, color=shade)
    axes.set_yticks(range(len(claims)), [_short(claim.says) for claim in claims], fontsize=6.5)
    axes.set_xlim(-END - 0.3, END + 0.3)
    axes.set_ylim(len(claims) - 0.4, -0.6)
    axes.set_xlabel("found with its 95 % interval, in half-widths of the claimed range")
    axes.set_title(f"{report.study.name}, {report.scale} scale: {report.study.size(report.scale)}")
    return axes


def _ends(claim):
    """Both ends of a range; of one without end, as far on as the other end is from 0."""
    low = claim.low if np.isfinite(claim.low) else claim.high - max(abs(claim.high), 1e-3)
    return low, claim.high if np.isfinite(claim.high) else claim.low + max(abs(claim.low), 1e-3)


def _bar(axes, row, found, quantities, middle, half, shade):
    ends = [(end - middle) / half for end in found.interval(quantities)]
    place = (found.value - middle) / half
    if not np.isfinite(place) and not np.isinf(place):
        return
    low, high = (float(np.clip(end, -END, END)) if not np.isnan(end) else float(np.clip(place, -END, END)) for end in ends)
    axes.plot([low, high], [row, row], color=shade, lw=1.2)
    inside = abs(place) <= END
    axes.plot(np.clip(place, -END, END), row, color=shade, ms=4, marker="o" if inside else (">" if place > 0 else "<"))


def _short(says: str, most: int = 58) -> str:
    return says if len(says) <= most else says[: says.rfind(" ", 0, most)] + " ..."
