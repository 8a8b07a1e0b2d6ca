"""Adaptive refinement against the uniform grid, and against python-adaptive's Learner2D, at equal numbers of runs.

The truth is a curved boundary y = .3 + .4 x^2 in the unit square, of a noisy 0/1 outcome and of a sharp one. Printed: root mean
square error of the boundary found, and of ours the band's mean width; ratios to ours.
"""

import json
import sys

import numpy as np

from jaxscale.phase.adaptive import Refinement

AXES = {"x": np.linspace(0, 1, 25), "y": np.linspace(0, 1, 41)}
REPEATS = 3
WIDTHS = {"noisy": 0.08, "sharp": 0.004}


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
    """Learner2D of python-adaptive, a run a point, and the same process on what it chose to see."""
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
    return float(np.sqrt(np.nanmean((state.boundary()["position"].values - truth(AXES["x"])) ** 2)))


if __name__ == "__main__":
    for name, width in WIDTHS.items():
        budget = 1024
        mine = np.array([ours(width, budget, root=r) for r in range(REPEATS)])
        grid = np.array([ours(width, budget, root=r, uniform=True) for r in range(REPEATS)])
        line = {"part": name, "runs": budget, "error": mine[:, 0].mean(), "band": mine[:, 1].mean(),
                "uniform_error_over_ours": grid[:, 0].mean() / mine[:, 0].mean(),
                "uniform_band_over_ours": grid[:, 1].mean() / mine[:, 1].mean()}  # fmt: skip
        try:
            line["learner2d_error_over_ours"] = np.mean([learner(width, budget, r) for r in range(REPEATS)]) / mine[:, 0].mean()
        except ModuleNotFoundError as error:
            line["learner2d"] = str(error)
        print(json.dumps({k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in line.items()}), flush=True)
