"""Adaptive refinement against the uniform grid, and against python-adaptive's Learner2D, at equal numbers of runs.

The truth is a curved boundary y = .3 + .4 x^2 in the unit square, of 0/1 outcomes whose log odds rise by 1 in a width. Printed:
root mean square error of the boundary found, and of ours the band's mean width; ratios to ours. Against an even spread, runs on
the boundary itself carry 1 / (4 width) times the information: no choice of cells narrows a band by much more than its root.
Learner2D's runs are read twice, by its own interpolation and by our process, and the better reading counts.
"""

import json
import sys
import time

import numpy as np

from jaxscale.phase.refinement import Refinement

AXES = {"x": np.linspace(0, 1, 25), "y": np.linspace(0, 1, 41)}
REPEATS = 5
WIDTHS = {"wide": 0.08, "noisy": 0.03, "sharp": 0.004}


def truth(x):
    return 0.3 + 0.4 * x**2


def chance(x, y, width):
    return 1 / (1 + np.exp(-np.clip((y - truth(x)) / width, -500, 500)))


def ours(width, budget, cells=64, runs=2, root=0, uniform=False):
    rng, state = np.random.default_rng(root), Refinement(AXES, 0.5, root=root)
    xs, ys = (g.ravel() for g in np.meshgrid(*AXES.values(), indexing="ij"))
    side = int(np.sqrt(budget / runs))
    spread = [np.unique(np.linspace(0, n - 1, side).round().astype(int)) for n in state.shape]
    lattice = np.ravel_multi_index([g.ravel() for g in np.meshgrid(*spread, indexing="ij")], state.shape)
    for _ in range(1 if uniform else budget // (cells * runs)):
        asked = np.repeat(lattice if uniform else state.ask(cells, runs), runs)
        state.tell(asked, rng.random(len(asked)) < chance(xs[asked], ys[asked], width))
    found = state.boundary()
    return float(np.sqrt(np.nanmean((found["position"].values - truth(AXES["x"])) ** 2))), float(found["width"].mean())


def learner(width, budget, root=0):
    """(own, ours) errors of the boundary in what Learner2D of python-adaptive chose to see, a run a point."""
    here = sys.path.pop(0)  # this file has the package's name
    try:
        import adaptive
    finally:
        sys.path.insert(0, here)

    rng = np.random.default_rng(root)
    told = adaptive.Learner2D(lambda p: float(rng.random() < chance(p[0], p[1], width)), bounds=[(0, 1), (0, 1)])
    adaptive.runner.simple(told, npoints_goal=budget)
    state, cells, values = Refinement(AXES, 0.5, root=root), [], []
    for (x, y), value in told.data.items():
        index = [int(np.argmin(np.abs(AXES[k] - v))) for k, v in (("x", x), ("y", y))]
        cells.append(np.ravel_multi_index(index, state.shape))
        values.append(value)
    state.tell(np.array(cells), np.array(values))
    fine, surface = np.linspace(0, 1, 2001), told.interpolator(scaled=False)
    passed = [np.argmax(surface(np.full(len(fine), x), fine).ravel() >= 0.5) for x in AXES["x"]]
    found = fine[passed], state.boundary()["position"].values
    return [float(np.sqrt(np.nanmean((one - truth(AXES["x"])) ** 2))) for one in found]


def race(name, width, budget=1024):
    """Print one line."""
    start = time.perf_counter()
    mine = np.array([ours(width, budget, root=r) for r in range(REPEATS)])
    seconds = (time.perf_counter() - start) / REPEATS
    grid = np.array([ours(width, budget, root=r, uniform=True) for r in range(REPEATS)])
    line = {"part": name, "width": width, "runs": budget, "error": mine[:, 0].mean(), "band": mine[:, 1].mean(),
            "uniform_error_over_ours": grid[:, 0].mean() / mine[:, 0].mean(),
            "uniform_band_over_ours": grid[:, 1].mean() / mine[:, 1].mean(), "information_root": np.sqrt(1 / (4 * width)),
            "seconds": seconds}  # fmt: skip
    try:
        theirs = np.mean([learner(width, budget, r) for r in range(REPEATS)], axis=0)
        line["learner2d_error_over_ours"] = theirs.min() / mine[:, 0].mean()
        line["learner2d_reading"] = ["its own", "our process"][int(theirs.argmin())]
    except ModuleNotFoundError as error:
        line["learner2d"] = str(error)
    print(json.dumps({k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in line.items()}), flush=True)


if __name__ == "__main__":
    for name, width in WIDTHS.items():
        race(name, width)
