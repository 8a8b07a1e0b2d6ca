"""Fits against the obvious ways: a grid of starts, a bootstrap, intervals from cold, one fit per seed.

python benchmarks/fits.py              all of it, a few minutes
python benchmarks/fits.py grid         one part: grid, bootstrap, cold, seeds

Contenders run a part of the work and are credited with it: scipy with analytic gradients and with finite differences, lmfit and
the package `chinchilla` where they are installed.
"""

import itertools
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # 240 points are slower on two threads, which would flatter us

import jax
import numpy as np

import jaxscale as js  # noqa: F401, I001
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import chinchilla, power
from jaxscale.fitting.runs import resampled_runs
from jaxscale.fitting.solver import solve

LAW, DELTA, POINTS = chinchilla.LAW, 1e-3, 240
TRUTH = {"A": 480.0, "B": 2100.0, "E": 1.82, "alpha": 0.348, "beta": 0.366}


def runs():
    """240 runs over the range of Hoffmann et al., with the heavy-tailed residuals of their digitised losses."""
    rng = np.random.default_rng(0)
    n, c = np.exp(rng.uniform(np.log(6e7), np.log(1.6e10), POINTS)), np.exp(rng.uniform(np.log(1e19), np.log(3e21), POINTS))
    d = c / 6 / n
    return n, d, chinchilla.shape(n, d, **TRUTH) * np.exp(0.004 * rng.standard_t(4, POINTS))


N, D, LOSS = runs()
GRID = np.array(list(itertools.product(np.arange(0, 30, 5.0), np.arange(0, 30, 5.0), np.arange(-1, 1.5, 0.5),
                                       np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5))))  # fmt: skip


def say(**facts):
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in facts.items()}), flush=True)


def objective(weight=None):
    """Sum of Huber losses and its gradient in (ln A, ln B, ln E, alpha, beta), as a careful numpy user writes it."""
    logs, weight = (np.log(N), np.log(D), np.log(LOSS)), np.ones(POINTS) if weight is None else weight

    def both(p):
        terms = np.stack([p[0] - p[3] * logs[0], p[1] - p[4] * logs[1], np.full(POINTS, p[2])])
        top = terms.max(0)
        shares = np.exp(terms - top)
        total = shares.sum(0)
        r = top + np.log(total) - logs[2]
        shares /= total
        size = np.abs(r)
        value = weight @ np.where(size <= DELTA, r * r / 2, DELTA * (size - DELTA / 2))
        slope = weight * np.clip(r, -DELTA, DELTA)
        return value, np.array([shares[0] @ slope, shares[1] @ slope, shares[2] @ slope, -(shares[0] * logs[0]) @ slope,
                                -(shares[1] * logs[1]) @ slope])  # fmt: skip

    return both


def timed(run):
    began = time.perf_counter()
    found = run()
    return time.perf_counter() - began, found


def whole_starts():
    return np.concatenate([np.exp(GRID[:, :3]), GRID[:, 3:]], axis=1)


def grid():
    """4500 starts of Hoffmann et al.; the share within .1 % of the optimum."""
    from scipy.optimize import minimize

    def ours():
        return solve(LAW, (N, D), LOSS, np.ones(POINTS), huber=DELTA, starts=whole_starts())

    def own_starts():
        return solve(LAW, (N, D), LOSS, np.ones(POINTS), huber=DELTA)

    first, _ = timed(ours)
    seconds, found = min((timed(ours) for _ in range(3)), key=lambda pair: pair[0])
    best = found.objective[0] / 2
    own_first, _ = timed(own_starts)
    own_seconds, own = min((timed(own_starts) for _ in range(3)), key=lambda pair: pair[0])
    say(part="grid", who="jaxscale", starts=len(GRID), seconds=seconds, compile_s=first - seconds,
        reached=float(found.reached[0]), objective=best)  # fmt: skip
    say(part="grid", who="jaxscale, its own starts", starts=own.every.shape[1], seconds=own_seconds,
        compile_s=own_first - own_seconds, reached=float(own.reached[0]), objective=own.objective[0] / 2)  # fmt: skip
    rng = np.random.default_rng(1)

    def contender(name, count, one):
        chosen = GRID[rng.choice(len(GRID), count, replace=False)]
        spent, values = timed(lambda: [one(p) for p in chosen])
        full = spent * len(GRID) / count
        say(part="grid", who=name, starts=count, seconds_for_all=full, ours_over=full / seconds,
            reached=float(np.mean(np.array(values) < 1.001 * best)))  # fmt: skip

    both = objective()
    contender("scipy L-BFGS-B, analytic gradient", 200, lambda p: minimize(both, p, jac=True, method="L-BFGS-B").fun)
    tight = {"ftol": 1e-13, "gtol": 1e-9}
    contender("the same, tight tolerances", 100, lambda p: minimize(both, p, jac=True, method="L-BFGS-B", options=tight).fun)
    contender("scipy L-BFGS-B, finite differences", 30, lambda p: minimize(lambda q: both(q)[0], p, method="L-BFGS-B").fun)
    for name, count, make in (("lmfit least_squares, Huber", 8, _lmfit), ("chinchilla", 4, _chinchilla)):
        try:
            contender(name, count, make())
        except ModuleNotFoundError as error:
            say(part="grid", who=name, missing=str(error))


def _lmfit():
    import lmfit

    names = ("a", "b", "e", "alpha", "beta")

    def residual(p):
        a, b, e, alpha, beta = (p[name].value for name in names)
        terms = np.stack([a - alpha * np.log(N), b - beta * np.log(D), np.full(POINTS, e)])
        return np.logaddexp.reduce(terms) - np.log(LOSS)

    def one(start):
        p = lmfit.create_params(**dict(zip(names, start)))
        found = lmfit.minimize(residual, p, method="least_squares", loss="huber", f_scale=DELTA)
        return objective()(np.array([found.params[name].value for name in names]))[0]

    return one


def _chinchilla():
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    def one(start):
        with tempfile.TemporaryDirectory() as folder:
            cc = Chinchilla(
                folder, param_grid={"e": [start[2]], "a": [start[0]], "b": [start[1]], "alpha": [start[3]], "beta": [start[4]]},
                seed_ranges={"C": (1e18, 1e20), "N_to_D": (1, 100)}, loss_fn=lambda y, z: log_huber(y, z, delta=DELTA),
                log_level=50,
            )  # fmt: skip
            cc.visualizer.optim = lambda *a, **k: None  # drawing is not part of the race
            for n, d, loss in zip(N, D, LOSS):
                cc.database.append(C=6 * n * d, N=n, D=d, loss=loss)
            cc.fit(parallel=False)
            p = cc.get_params()
        return objective()(np.array([np.log(p["A"]), np.log(p["B"]), np.log(p["E"]), p["alpha"], p["beta"]], float))[0]

    return one


def bootstrap():
    """4000 resamples of the runs, from the optimum; the share that reached their own."""
    from scipy.optimize import minimize

    best = solve(LAW, (N, D), LOSS, np.ones(POINTS), huber=DELTA).values[0]
    counts = resampled_runs(np.arange(POINTS), 4000, 0)

    def ours(iterations=60):
        return solve(LAW, (N, D), np.broadcast_to(LOSS, counts.shape), np.ones(POINTS), count=counts, huber=DELTA,
                     starts=best[None], iterations=iterations)  # fmt: skip

    first, _ = timed(ours)
    seconds, found = min((timed(ours) for _ in range(3)), key=lambda pair: pair[0])
    start = np.concatenate([np.log(best[:3]), best[3:]])
    some = np.random.default_rng(2).choice(4000, 100, replace=False)
    lines = []
    for name, options in (("default", {}), ("tight", {"ftol": 1e-14, "gtol": 1e-10})):
        spent, values = timed(lambda: [  # noqa: B023
            minimize(objective(counts[i]), start, jac=True, method="L-BFGS-B", options=options).fun for i in some  # noqa: B023
        ])  # fmt: skip
        lines.append((name, spent * 40, np.array(values)))
    longer = ours(400).objective[some] / 2
    lowest = np.minimum(longer, np.minimum(lines[1][2], found.objective[some] / 2))
    say(part="bootstrap", who="jaxscale", resamples=4000, seconds=seconds, compile_s=first - seconds,
        at_optimum=float(np.mean(found.objective[some] / 2 < 1.001 * lowest)))  # fmt: skip
    for name, full, values in lines:
        say(part="bootstrap", who=f"scipy L-BFGS-B, analytic gradient, {name} tolerances", seconds_for_all=full,
            ours_over=full / seconds, at_optimum=float(np.mean(values < 1.001 * lowest)))  # fmt: skip


def cold():
    """1,000 resamples with intervals and self-tests, compilation and all, from an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        table = {"N": N, "D": D, "loss": LOSS}
        seconds, found = timed(lambda: fit(LAW, table, x=("N", "D"), y="loss", huber=DELTA, resamples=1000))
        say(part="cold", seconds=seconds, status=found.status, alpha=str(found["alpha"]))


def seeds():
    """100,000 power laws in one call."""
    rng, x = np.random.default_rng(0), np.geomspace(10, 1e4, 12)
    y = 3 * x**-0.5 * np.exp(0.05 * rng.normal(size=(100_000, 12)))

    def ours():
        return solve(power.LAW, x, y, np.ones(12), starts=np.array([[1.0, 0.5]]), iterations=12)

    first, _ = timed(ours)
    seconds, found = timed(ours)
    line = np.polyfit(np.log(x), np.log(y[:1000]).T, 1)
    say(part="seeds", fits=100_000, seconds=seconds, compile_s=first - seconds, exponent=float(found.values[:, 1].mean()),
        largest_difference_to_a_line=float(np.abs(found.values[:1000, 1] + line[0]).max()))  # fmt: skip


PARTS = {"cold": cold, "grid": grid, "bootstrap": bootstrap, "seeds": seeds}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
