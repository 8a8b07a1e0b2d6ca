"""How reliable are early warnings? Rising variance before a fold, against series that approach nothing.

Indicators on overlapping windows make Kendall's tau of nothing at all vary with a standard deviation near .48, so that only
calibrated thresholds mean anything; an ensemble over seeds needs no windows.
"""

import numpy as np

from jaxscale.dynamics.ornstein_uhlenbeck import OrnsteinUhlenbeck
from jaxscale.phase.warning_signs import area_under_curve, early_warnings, ensemble, kendall, rolling
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import switched_off

START, END = 0.5, 0.02
AUC = {100: 0.78, 250: 0.92, 1000: 0.999}  # steps of the ramp: area under the curve, windows of half the series, no detrending


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
MOST, PAIRS, CALIBRATED, SURROGATES = 2000, 10**8, 400, 200  # series whose p-values are taken, and surrogates of each


def values(runs, end):
    """Return the (seed, step) series that end at one rate."""
    return runs["x"].isel(length=0).sel(end=end, method="nearest").transpose("seed", "time").values.astype(float)


def area(rising, flat, note=""):
    """Return the area under the curve of (series, steps), with the error of DeLong et al. 1988."""
    up, level = kendall(rolling(rising)), kendall(rolling(flat))
    above = np.sign(up[:, None] - level[None, :]) / 2 + 0.5
    error = np.sqrt(above.mean(1).var(ddof=1) / len(up) + above.mean(0).var(ddof=1) / len(level))
    if not error:  # all above: as many independent pairs as there are series
        return Found.share(len(up), len(up), note)
    return Found(area_under_curve(up, level), float(error), note)


def measure(runs):
    """Measure areas under the curve, the null's spread and calibration, and the ensemble's variance."""
    found = {}
    for run in runs.values():
        n = run.sizes["time"]
        most = min(MOST, PAIRS // n**2)  # Kendall's tau compares every pair of steps
        found[f"auc_{n}"] = area(values(run, END)[:most], values(run, START)[:most], f"{n} steps, {most} series of each kind")
    flat = values(runs["series_100"], START)[:MOST]
    half = len(flat) // 2
    found["no_slowing"] = area(flat[:half], flat[half : 2 * half], "of series that nothing slows, 100 steps")
    taus = kendall(rolling(flat))
    found["null_100"] = Found.jackknife(np.std, taus, note="of Kendall's tau of nothing")
    warned = np.abs(taus) > 0.6
    found["uncalibrated"] = Found.share(int(warned.sum()), len(taus), "false alarms of |tau| > .6")
    p = early_warnings(flat[:CALIBRATED], indicator="variance", detrend=False, surrogates=SURROGATES).p
    found["false_alarms"] = Found.share(int((p <= 0.05).sum()), len(p), "at the 5 % level")
    last = list(runs.values())[-1]
    found["ensemble"] = Found.over(_over_theory(values(last, END)), "variance over seeds over sigma^2 / 2k")
    return found


def _over_theory(series):
    """Return each seed's share in the variance of (seeds, steps) over the stationary one, mean over a late stretch."""
    seeds, n = series.shape
    late = slice(int(0.6 * n), int(0.9 * n))
    exact = 1 / (2 * (START + (END - START) * np.arange(n) / n))
    gap = series[:, late] - series[:, late].mean(axis=0)
    return np.mean(gap**2 / exact[late], axis=1) * seeds / (seeds - 1)


def half_approaching(runs):
    """Let the first half of the series that approach nothing approach a fold."""

    def mixed(data):
        flat = data["end"].values.argmax()
        first = data["seed"] < data.sizes["seed"] // 2
        return data.assign(x=data["x"].where(~first, data["x"].isel(end=1 - flat, drop=True)))

    return {name: mixed(data) for name, data in runs.items()}


def still(runs):
    """Put a steady alternation in the place of every series: nothing fluctuates."""
    return {name: data.assign(x=data["x"] * 0 + (-1.0) ** data["time"]) for name, data in runs.items()}


def draw(runs, found):
    """Draw the taus of both kinds, and the ensemble's variance against theory."""
    figure, axes = figures.new_axes(1, 2)
    last = list(runs.values())[-1]
    for i, (end, label) in enumerate(((END, "approaching a fold"), (START, "approaching nothing"))):
        taus = kendall(rolling(values(runs["series_100"], end)[:2000]))
        axes[0].hist(taus, bins=np.linspace(-1, 1, 41), histtype="step", density=True, color=figures.COLOURS[i], label=label)
    axes[0].set_xlabel("Kendall's tau of the variance, 100 steps")
    axes[0].set_ylabel("density")
    axes[0].legend()
    n = last.sizes["time"]
    axes[1].plot(ensemble(values(last, END))[0], color=figures.COLOURS[0], lw=1, label="variance over seeds")
    axes[1].plot(1 / (2 * (START + (END - START) * np.arange(n) / n)), color="0.3", ls="--", lw=1, label="sigma^2 / 2k")
    axes[1].set_yscale("log")
    axes[1].set_xlabel("step")
    axes[1].legend()
    return {"taus": figure}


SOURCE, TOY = "Boettiger, Ross & Hastings 2013", "their toy model, in this convention"
STUDY = Study(
    name="early_warning",
    question="how often do early warnings of a transition warn, and how often falsely?",
    paper="Boettiger, Ross & Hastings 2013, Early warning signals: the charted and uncharted territories, Theor. Ecol. 6, 255",
    world="Ornstein-Uhlenbeck series whose rate falls from .5 to .02, variance in windows of half the series, no detrending",
    experiments={f"series_{n}": series for n in AUC},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"no approach": switched_off("end", START), "always approaching": switched_off("end", END), "still": still,
              "half approaching": half_approaching},
    claims=(
        Claim("auc_250", "critical slowing down can be detected ahead: area under the curve, 250 steps", 0.7, 1,
              f"{SOURCE}, abstract", null="no approach"),
        Claim("uncalibrated", "but detection is a challenge: |tau| > .6 raises false alarms on nothing", 0.15, 0.35,
              f"{SOURCE}, abstract", null="still"),
        Claim("no_slowing", "a shift that nothing slows is not warned of: area under the curve", 0.45, 0.55,
              f"{SOURCE}, abstract", null="half approaching"),
        *(Claim(f"auc_{n}", f"the area under the curve of {n} steps is {auc:g}", auc - 0.03, min(auc + 0.03, 1), TOY,
                kind="derived", null="no approach") for n, auc in AUC.items() if n != 250),
        Claim("null_100", "Kendall's tau of nothing has a standard deviation near .48", 0.43, 0.53, TOY, kind="derived",
              null="still"),
        Claim("false_alarms", "surrogates bring false alarms to the 5 % level", 0.03, 0.07, "calibration", kind="derived",
              null="always approaching"),
        Claim("ensemble", "over seeds the variance is sigma^2 / 2k, without windows", 0.9, 1.1, "derived", kind="derived",
              null="no approach"),
    ),  # fmt: skip
)
