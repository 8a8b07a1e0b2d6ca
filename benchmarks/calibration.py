"""How often do our intervals hold the truth? Every estimator on data whose truth is known, printed as one table.

Shares come with their binomial errors. `--write` puts the table into docs/calibration.md with commit and versions.
"""

import argparse
import platform
import subprocess
import time
from importlib import import_module, metadata
from pathlib import Path

import numpy as np
import xarray as xr

import jaxscale as js
from jaxscale.phase.warning_signs import early_warnings

PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
EVEN = np.linspace(0, 1, 11)
UNEVEN = np.array([0, 0.05, 0.12, 0.2, 0.4, 0.42, 0.47, 0.52, 0.6, 0.8, 0.9, 1.0])


def logistic(z):
    return 1 / (1 + np.exp(-np.clip(z, -700, 700)))


def cloglog(z):
    return 1 - np.exp(-np.log(2) * np.exp(np.clip(0.7 * z, -50, 50)))


def skewed(rng, shape):
    return 0.3 * (np.exp(0.8 * rng.normal(size=shape)) - np.exp(0.32))


BOUNDARIES = {  # name: (cells, scale, level, runs(rng, z, seeds) that pass the level at z = 0)
    "0/1, logistic": (EVEN, 0.08, 0.5, lambda r, z, s: r.random((*z.shape, s)) < logistic(z)[..., None]),
    "0/1, sharp": (EVEN, 0.02, 0.5, lambda r, z, s: r.random((*z.shape, s)) < logistic(z)[..., None]),
    "0/1, cloglog, uneven": (UNEVEN, 0.15, 0.5, lambda r, z, s: r.random((*z.shape, s)) < cloglog(z)[..., None]),
    "tanh, normal": (EVEN, 0.2, 0.0, lambda r, z, s: np.tanh(z)[..., None] + 0.3 * r.normal(size=(*z.shape, s))),
    "tanh, sharp": (EVEN, 0.05, 0.0, lambda r, z, s: np.tanh(z)[..., None] + 0.3 * r.normal(size=(*z.shape, s))),
    "tanh, skewed": (EVEN, 0.4, 0.0, lambda r, z, s: np.tanh(z)[..., None] + skewed(r, (*z.shape, s))),
    "tanh, t of 3, uneven": (UNEVEN, 0.4, 0.0, lambda r, z, s: np.tanh(z)[..., None] + 0.2 * r.standard_t(3, (*z.shape, s))),
    "exponential": (EVEN, 0.2, 1.0, lambda r, z, s: np.exp(z)[..., None] * (1 + 0.2 * r.normal(size=(*z.shape, s)))),
    "Poisson counts": (EVEN, 0.3, 5.0, lambda r, z, s: r.poisson(5 * np.exp(z)[..., None] * np.ones(s))),
}
FITS = {  # law: (true parameters, x, quoted parameter, noise)
    "power": ({"amplitude": 7.3, "exponent": 0.34}, np.geomspace(32, 4096, 8), "exponent", 0.02),
    "power_floor": ({"amplitude": 5.0, "exponent": 0.41, "floor": 0.8}, np.geomspace(1e2, 1e5, 9), "exponent", 0.02),
    "saturating": ({"limit": 0.71, "drop": -0.42, "scale": 140.0}, np.geomspace(5, 1500, 10), "scale", 0.02),
    "kaplan_one": ({"amplitude": 11.0, "alpha": 0.067}, np.geomspace(3e6, 2e9, 7), "alpha", 0.01),
}
X = np.geomspace(10, 1e4, 12)
FORMS = {  # name: (law, whether it is right, y without noise, noise)
    "a power law": ("power", True, 2 * X**-0.5, 0.01),
    "a power law, 20 % noise": ("power", True, 2 * X**-0.5, 0.2),
    "a power law with a floor": ("power_floor", True, 2 * X**-0.5 + 0.3, 0.003),
    "a small floor": ("power", False, 2 * X**-0.5 + 0.02, 0.01),
    "a logarithmic correction": ("power", False, X**-0.5 * (1 + np.log(X)), 0.01),
    "a bend": ("power", False, X**-0.3 * (1 + (X / 300) ** 2) ** -0.15, 0.01),
    "two powers": ("power", False, 5 / X + X**-0.3, 0.01),
    "a logarithm": ("power", False, 5 - 0.4 * np.log(X), 0.005),
    "a bump": ("power", False, 2 * X**-0.5 * (1 + 0.8 * np.exp(-0.5 * (np.log(X / 300) / 0.5) ** 2)), 0.01),
    "a step of 6 %": ("power", False, 2 * X**-0.5 * np.where(X > 500, 0.94, 1.0), 0.01),
    "two powers under a floor": ("power_floor", False, 5 / X + 0.8 * X**-0.15, 0.005),
    "a floor that jumps": ("power_floor", False, 2 * X**-0.5 + np.where(X > 1000, 0.27, 0.3), 0.003),
}


def share(hits):
    """A share with its binomial error, as text."""
    p, n = float(np.mean(hits)), max(len(hits), 1)
    return f"{p:.3f} ± {np.sqrt(max(p * (1 - p), 0.25 / n) / n):.3f}"


def boundaries(repeats):
    """Rows of the bands of boundaries."""
    for name, (x, scale, level, draw) in BOUNDARIES.items():
        for seeds in (4, 16, 64):
            rng = np.random.default_rng([sum(map(ord, name)), seeds])
            truth = rng.uniform(0.3, 0.7, repeats)
            runs = np.asarray(draw(rng, (x - truth[:, None]) / scale, seeds), float)
            found = js.boundary(xr.DataArray(runs, {"x": x}, ("set", "x", "seed")), along="x", level=level)
            sure = found["status"].values != "not established"
            held = ((found["low"].values <= truth) & (truth <= found["high"].values))[sure]
            wide = np.median((found["high"] - found["low"]).values[sure]) if sure.any() else np.nan
            yield f"`boundary`, {name}", f"{seeds} seeds", share(held), f"established {sure.mean():.2f}, width {wide:.3f}"


def fits(repeats):
    """Rows of exponents from seeds and from runs."""
    for name, (truth, x, quoted, noise) in FITS.items():
        law = import_module(f"jaxscale.fitting.laws.{name}").LAW
        exact, small = law.at(x[None], truth), 1 - np.log(x / x[0]) / np.log(x[-1] / x[0])
        for seeds, growth in ((3, 0), (3, 2), (8, 0), (16, 2), (0, 0), (0, 2)):
            rng, size = np.random.default_rng([sum(map(ord, name)), seeds, growth]), noise * (1 + growth * small)
            held, values, claimed, wide = [], [], [], []
            for root in range(repeats):
                noisy = exact[:, None] * np.exp(size[:, None] * rng.normal(size=(len(x), max(seeds, 1))))
                if seeds:
                    data = xr.DataArray(noisy, {"x": x, "seed": np.arange(seeds)}, ("x", "seed"), "y")
                    e = js.fit(law, data, x="x", root=root, progress=False)[quoted]
                else:
                    e = js.fit(law, {"x": x, "y": noisy[:, 0]}, x="x", y="y", root=root, progress=False)[quoted]
                held.append(e.low <= truth[quoted] <= e.high)
                values.append(e.value), claimed.append(e.seeds), wide.append(e.high - e.low)
            rms = np.sqrt(np.mean((np.array(values) - truth[quoted]) ** 2))
            what = f"{seeds} seeds" if seeds else f"{len(x)} runs"
            note = f"claimed/true error {np.median(claimed) / rms:.2f}, width over 4 rms {np.median(wide) / (4 * rms):.2f}"
            yield f"`fit`, {name}", what + (", noise x3 at the small end" if growth else ""), share(held), note


def forms(repeats):
    """Rows of how often right and wrong laws are called "ok"."""
    for at, (name, (which, right, exact, noise)) in enumerate(FORMS.items()):
        law, rng = import_module(f"jaxscale.fitting.laws.{which}").LAW, np.random.default_rng([11, at])
        fine = []
        for root in range(repeats):
            table = {"x": X, "y": exact * np.exp(noise * rng.normal(size=len(X)))}
            fine.append(js.fit(law, table, x="x", y="y", root=root, progress=False).status == "ok")
        yield f'"ok", {which} on {name}', "12 runs", share(fine), "should be at least .95" if right else "should be 0"


def warnings(repeats):
    """Rows of the false alarms of early warnings, and of the alarms before a transition."""
    rng, steps = np.random.default_rng(0), 100

    def walk(rate, size):
        noise, series = rng.normal(size=(repeats, steps)), np.zeros((repeats, steps))
        for t in range(1, steps):
            series[:, t] = np.exp(-rate[t]) * series[:, t - 1] + size[t] * noise[:, t]
        return series

    flat, one = np.full(steps, 0.7), np.ones(steps)
    cases = {
        "stationary": walk(flat, one), "mean moves": walk(flat, one) + 4 * (np.arange(steps) / steps) ** 2,
        "noise doubles": walk(flat, 1 + np.arange(steps) / steps), "rate 1 to .05": walk(np.linspace(1, 0.05, steps), one),
    }  # fmt: skip
    for name, series in cases.items():
        alarms = early_warnings(series, surrogates=60).p <= 0.05
        yield f"`early_warnings`, {name}", f"{steps} steps", share(alarms), "an alarm" if "rate" in name else "a false alarm"


def main():
    """Print the table; with --write put it into the docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100, help="sets of data a row")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    start, rows = time.process_time(), []
    for table in (boundaries, fits, forms, warnings):
        for row in table(asked.repeats):
            rows.append(row)
            print("| " + " | ".join(row) + " |", flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "numpy", "scipy", "xarray"))
    head = (
        "# Calibration\n\nHow often 95 % intervals hold the truth, on data whose truth is known. `make calibration` makes this "
        f"page again.\n{asked.repeats} sets a row, {time.process_time() - start:.0f} CPU s; commit {commit}, {versions}, "
        f"Python {platform.python_version()}.\n\nA step that is sharper than the cells are apart has the bracket for its band, "
        "and is held always.\n\n| estimator, truth | data | share | beside it |\n|---|---|---|---|\n"
    )
    if asked.write:
        PAGE.write_text(head + "".join("| " + " | ".join(row) + " |\n" for row in rows))


if __name__ == "__main__":
    main()
