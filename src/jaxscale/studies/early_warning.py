"""How reliable are early warnings? Rising variance before a fold, against series that approach nothing.

Indicators on overlapping windows make Kendall's tau of nothing at all vary with a standard deviation near .48, so that only
calibrated thresholds mean anything; an ensemble over seeds needs no windows.
"""

import numpy as np

from jaxscale.dynamics.ornstein_uhlenbeck import OrnsteinUhlenbeck
from jaxscale.phase.warning_signs import area_under_curve, early_warnings, ensemble, kendall, rolling
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study

START, END = 0.5, 0.02
AUC = {100: 0.756, 250: 0.919, 1000: 0.999}  # steps of the ramp: area under the curve


def series(end, *, length):
    """Let k fall from .5 to `end` over the series; end = .5 approaches nothing."""
    return OrnsteinUhlenbeck(start=START, end=end, steps=float(length))


def _scale(lengths, seeds):
    return {
        f"series_{n}": dict(grid={"end": [END, START]}, static={"length": (n,)}, seeds=seeds, times=np.arange(n))
        for n in lengths
    }


SCALES = {
    "smoke": _scale((100, 250), 800),
    "laptop": _scale((100, 250, 1000), 2000),
    "accelerator": _scale((100, 250, 1000), 100_000),
}
CALIBRATED, SURROGATES = 400, 200  # series whose p-values are taken, and surrogates of each


def values(runs, end):
    """Return the (seed, step) series that end at one rate."""
    return runs["x"].isel(length=0).sel(end=end, method="nearest").transpose("seed", "time").values.astype(float)


def measure(runs):
    """Measure areas under the curve, the null's spread and calibration, and the ensemble's variance."""
    found, rng = {}, np.random.default_rng(0)
    for run in runs.values():
        n = run.sizes["time"]
        rising, flat = (kendall(rolling(values(run, end)[:2000])) for end in (END, START))
        picks = [(rng.integers(len(rising), size=len(rising)), rng.integers(len(flat), size=len(flat))) for _ in range(50)]
        again = [area_under_curve(rising[i], flat[j]) for i, j in picks]
        found[f"auc_{n}"] = Found(area_under_curve(rising, flat), float(np.std(again)))
        found[f"null_{n}"] = Found(float(flat.std()), float(flat.std() / np.sqrt(2 * len(flat))), "of Kendall's tau")
    last = list(runs.values())[-1]
    flat = values(runs["series_100"], START)[:CALIBRATED]
    p = early_warnings(flat, indicator="variance", detrend=False, surrogates=SURROGATES).p
    found["false_alarms"] = Found(float(np.mean(p <= 0.05)), float(np.sqrt(0.05 * 0.95 / len(p))), "at the 5 % level")
    uncalibrated = kendall(rolling(flat))
    found["uncalibrated"] = Found(float(np.mean(np.abs(uncalibrated) > 0.6)), note="false alarms of |tau| > .6")
    variance, _ = ensemble(values(last, END))
    n = last.sizes["time"]
    late = slice(int(0.6 * n), int(0.9 * n))
    exact = 1 / (2 * (START + (END - START) * np.arange(n) / n))
    found["ensemble"] = Found(float(np.mean(variance[late] / exact[late])), note="variance over seeds over sigma^2 / 2k")
    return found


def draw(runs, found):
    """Draw the taus of both kinds, and the ensemble's variance against theory."""
    figure, axes = figures.new_axes(1, 2)
    last = list(runs.values())[-1]
    for i, (end, label) in enumerate(((END, "approaching a fold"), (START, "approaching nothing"))):
        taus = kendall(rolling(values(runs["series_100"], end)[:2000]))
        axes[0].hist(taus, bins=np.linspace(-1, 1, 41), histtype="step", density=True, color=figures.COLOURS[i], label=label)
    axes[0].set_xlabel("Kendall's tau of the variance, 100 steps")
    axes[0].set_ylabel("density")
    axes[0].legend(fontsize=7, frameon=False)
    n = last.sizes["time"]
    axes[1].plot(ensemble(values(last, END))[0], color=figures.COLOURS[0], lw=1, label="variance over seeds")
    axes[1].plot(1 / (2 * (START + (END - START) * np.arange(n) / n)), color="0.3", ls="--", lw=1, label="sigma^2 / 2k")
    axes[1].set_yscale("log")
    axes[1].set_xlabel("step")
    axes[1].legend(fontsize=7, frameon=False)
    return {"taus": figure}


def _claims():
    source = "Boettiger, Ross & Hastings 2013, their toy model"
    for n, area in AUC.items():
        yield Claim(f"auc_{n}", f"rising variance, {n} steps: area under the curve {area}", area - 0.03, area + 0.03, source)
    yield Claim("null_100", "Kendall's tau of nothing at all has a standard deviation near .48", 0.43, 0.53, source)
    yield Claim("false_alarms", "surrogates: 5 +- 2 % false alarms at the 5 % level", 0.03, 0.07, "calibration")
    yield Claim("uncalibrated", "|tau| > .6 without calibration: 20 to 30 % false alarms", 0.15, 0.35, source)


STUDY = Study(
    name="early_warning",
    question="how often do early warnings of a transition warn, and how often falsely?",
    paper="Boettiger, Ross & Hastings 2013, Theor. Ecol. 6, 255",
    experiments={f"series_{n}": series for n in AUC},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=tuple(_claims()),
)
