"""Contours of a level in a diagram of two control parameters: loops and branches, with the band in which they may lie."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxscale.phase.passages import REACH
from jaxscale.phase.refinement import Refinement
from jaxscale.resampling import seed_dims

if TYPE_CHECKING:
    import xarray

FINE = 4  # places between two cells of an axis
MOST = 200  # places along an axis


@dataclasses.dataclass(frozen=True)
class Branch:
    """Hold one connected piece of a contour.

    Attributes:
      x: (m,) places along the first axis, in its units.
      y: (m,) along the second.
      closed: whether it is a loop.
      established: whether the band around it lies between what is decided below the level and what is decided above.
    """

    x: np.ndarray
    y: np.ndarray
    closed: bool
    established: bool


@dataclasses.dataclass(frozen=True)
class Contour:
    """Hold where a level is passed in the plane, and how surely.

    Attributes:
      score: DataArray over both axes, finer than the cells: normal quantile of the chance of being above the level. Within
        +-1.96 the side is undecided: the 95 % band of the contour.
      branches: established ones first, longest first.
      level: of the observable.
    """

    score: "xarray.DataArray"
    branches: tuple[Branch, ...]
    level: float


def contour(
    data: "xarray.DataArray", *, x: str, y: str, level: float, over: str | Sequence[str] = "seed", log: Sequence[str] = ()
) -> Contour:
    """Return where the mean over seeds passes `level` in the plane of two control parameters, however the line runs.

    A Gaussian process goes through all cells: smooth along x, a slope with departures along y, as in `refine`. `boundary`
    asks one column at a time; a loop, or a branch that turns back, is seen here.

    Args:
      data: DataArray of dims x, y and `over`; NaN where a run was lost. 0/1 outcomes are taken as counts.
      x: first axis, increasing, at least three values.
      y: second axis, the same; take the one along which the observable changes most.
      level: value to pass.
      over: dimension of the seeds.
      log: axes that are even in their logarithm.

    Raises:
      ValueError: other dimensions are left (select one value of each), or the axes do not increase.
      ImportError: no contourpy, which comes with matplotlib: install 'jaxscale[plot]'.
    """
    dims = seed_dims(data, over)
    if left := set(data.dims) - {x, y, *dims}:
        raise ValueError(f"contour takes two axes and the seeds; {sorted(map(str, left))} are left: select one value of each.")
    state = Refinement({x: np.asarray(data[x].values, float), y: np.asarray(data[y].values, float)}, level, tuple(log))
    runs = np.asarray(data.transpose(x, y, *dims).values, np.float64).reshape(len(state.count), -1)
    state.tell(np.repeat(np.arange(len(runs)), runs.shape[1]), runs.ravel())
    return contour_of(state)


def contour_of(state: Refinement) -> Contour:
    """Return the contour of what a `Refinement` has been told: loops and branches that its `boundary` cannot show."""
    import xarray

    (x, xs), (y, ys) = state.axes.items()
    places = [_finer(np.asarray(v, float), name in state.log) for name, v in ((x, xs), (y, ys))]
    score = state.score(*places)
    branches = _branches(places, score, [name in state.log for name in (x, y)])
    branches = sorted(branches, key=lambda b: (not b.established, -len(b.x)))
    labelled = xarray.DataArray(score, {x: places[0], y: places[1]}, (x, y), "score", {"level": state.level})
    return Contour(labelled, tuple(branches), state.level)


def _finer(values: np.ndarray, log: bool) -> np.ndarray:
    """Return an axis with FINE places from cell to cell, MOST at most."""
    v = np.log(values) if log else values
    count = min(FINE * (len(v) - 1) + 1, max(MOST, len(v)))
    fine = np.interp(np.linspace(0, len(v) - 1, count), np.arange(len(v)), v)
    return np.exp(fine) if log else fine


def _branches(places: list[np.ndarray], score: np.ndarray, log: list[bool]) -> list[Branch]:
    """Return the lines where the score is 0, and which of them are established."""
    try:
        import contourpy
    except ImportError as error:
        raise ImportError("contours need contourpy, which matplotlib brings: pip install 'jaxscale[plot]'.") from error
    from scipy import ndimage

    undecided, _ = ndimage.label(np.abs(score) < REACH, structure=np.ones((3, 3)))
    grown = {k: ndimage.binary_dilation(undecided == k, np.ones((3, 3))) for k in range(1, undecided.max() + 1)}
    sure = {k: bool((score[g] >= REACH).any() and (score[g] <= -REACH).any()) for k, g in grown.items()}
    found = []
    for line in contourpy.contour_generator(z=score.T).lines(0.0):
        line = np.asarray(line)
        nearest = undecided[tuple(np.round(line).astype(int).T)]
        inside = nearest[nearest > 0]
        # a band narrower than the places is decided everywhere, on both sides of the line
        established = all(sure[int(k)] for k in np.unique(inside)) if len(inside) else True
        ends = [np.interp(line[:, i], np.arange(len(p)), np.log(p) if l else p) for i, (p, l) in enumerate(zip(places, log))]
        ends = [np.exp(e) if l else e for e, l in zip(ends, log)]
        found.append(Branch(ends[0], ends[1], bool(np.allclose(line[0], line[-1])), established))
    return found
