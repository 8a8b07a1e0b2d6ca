"""Does SGD noise act late in training? Networks on real digits with the noise switched off on the way.

A hot network fits the first nine tenths of the data a little later than a cold one, and the last ones much later. The noise
is also switched off on the way, on the same draws, which shows when it adds to the weights.
"""

import numpy as np

from jaxscale.dynamics.batching import Minibatch
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.schedules import Schedule
from jaxscale.dynamics.until import Until, fitted
from jaxscale.models.mlp import Mlp
from jaxscale.plot import figures
from jaxscale.plot.style import colours
from jaxscale.simulation import log_times
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, switched_off, untrained

POINTS, BATCH = 256, 16
COLD, HOT = 1 / 64, 1 / 4  # temperatures
NEVER = 2.0**20  # a step that no run reaches
MOST, ALL = 0.1, 0.0  # shares of the data that are not fitted yet


def network():
    """Make the lazy network of the scaling in P: one hidden layer of 64 on the parity of digits."""
    return Mlp(p=POINTS, alpha=1024.0, width=64, depth=1, test=512)


def descent(temperature, schedule=None):
    """Run SGD until every training point is fitted, looking at every step."""
    how = Descent(model=network(), learning_rate=temperature * BATCH, schedule=schedule, batching=Minibatch(size=BATCH))
    return Until(system=how, when=fitted)


def fitting(temperature):
    """Run SGD at one temperature."""
    return descent(temperature)


def quieted(quiet):
    """Run hot until step `quiet`, and cold from then on."""
    return descent(HOT, Schedule(shape="two-stage", steps=2 * quiet, cooldown=0.5, floor=COLD / HOT))


def _scale(temperatures, quiet, seeds):
    times = log_times(20_000, per_decade=10)
    return {
        "fitting": dict(grid={"temperature": temperatures}, seeds=seeds, times=times),
        "quieted": dict(grid={"quiet": [*quiet, NEVER]}, seeds=seeds, times=times, share="quiet"),
    }


SCALES = {
    "smoke": _scale([COLD, HOT], [1.0, 64.0, 128.0, 192.0], 6),
    "laptop": _scale([COLD, 1 / 16, HOT, 1.0], [1.0, 16.0, 32.0, 64.0, 96.0, 128.0, 192.0, 256.0], 48),
    "accelerator": _scale(4.0 ** np.arange(-4, 2), 2.0 ** np.arange(11), 4096),
}


def passages(runs, share):
    """Return (temperature, seed) training times, eta times steps, at which no more is unfitted than a share; NaN if never."""
    if share == ALL:
        last = runs.isel(time=-1)
        steps = last["steps"].where(last["stopped"]).transpose("temperature", "seed").values.astype(float)
    else:
        steps = np.array([_first(runs.isel(temperature=i), share) for i in range(runs.sizes["temperature"])])
    return steps * runs["temperature"].values[:, None] * BATCH


def _first(runs, share):
    """Return (seed,) recorded steps at which the unfitted share is first no larger."""
    there = (runs["unfitted"] / POINTS).transpose("seed", "time").values <= share
    return np.where(there.any(-1), runs["time"].values[there.argmax(-1)], np.nan)


def measure(runs):
    """Measure how much longer the hot runs take for the first half and for all, and what noise adds when."""
    cold, hot = (int(np.argmin(np.abs(runs["fitting"]["temperature"].values - t))) for t in (COLD, HOT))
    times = {share: passages(runs["fitting"], share) for share in (MOST, ALL)}
    most, everything = (Found.over(np.log(times[share][hot] / times[share][cold])) for share in (MOST, ALL))
    last = runs["quieted"].isel(time=-1)
    moved = last["relative_norm"].where(last["stopped"]).transpose("seed", "quiet").values
    steps = last["steps"].where(last["stopped"]).transpose("seed", "quiet").values[:, -1]
    quiet = runs["quieted"]["quiet"].values.astype(float)
    fitted_most = _first(runs["quieted"].isel(quiet=-1), MOST)
    ends = {"late": fitted_most, "second_half": steps / 2}
    shares = {}
    for name, step in ends.items():
        until = np.array([_at(one, quiet, at) for one, at in zip(moved, step)])
        shares[name] = Found.jackknife(_share_after, moved[:, -1], until, moved[:, 0], note=NOTES[name])
    return shares | {
        "longer": _noted(everything, f"ln of the time to fit all, T = {HOT:g} over T = {COLD:g}"),
        "later": _noted(everything - most, "ln of the time to fit all, less the same for nine tenths"),
        "stopping": Found.over(1 - (times[MOST] / times[ALL])[hot], "share of t* spent on the last tenth of the data"),
        "before": Found.exact(_difference(runs["quieted"]), "largest difference of a run to its undisturbed twin, before"),
        "finished": Found.share(int(np.isfinite(moved).sum()), moved.size, "runs that fitted their data"),
    }  # fmt: skip


NOTES = {
    "late": "share of what noise adds to |w - w0| that comes after nine tenths of the data are fitted",
    "second_half": "the share that comes after t*/2",
}


def _share_after(end, until, without):
    return float((end.mean() - until.mean()) / (end.mean() - without.mean()))


def _noted(found, note):
    return Found(found.value, found.error, note, freedom=found.freedom, status=found.status)


def _at(moved, quiet, step):
    """Return the weight change of one seed whose noise ends at a step, between those of the steps that were run."""
    finite = quiet < NEVER
    return np.interp(np.log(step), np.log(quiet[finite]), moved[finite])


def _difference(runs):
    """Largest difference between runs that are quiet from a step on and those that never are, up to that step."""
    data = runs["unfitted"].transpose("quiet", "seed", "time").values.astype(float)
    before = runs["time"].values[None, None, :] <= runs["quiet"].values[:, None, None]
    return float(np.max(np.where(before, np.abs(data - data[-1:]), 0)))


def draw(runs, found):
    """Draw what is not fitted against the training time, and the weight change against when noise was switched off."""
    figure, axes = figures.new_axes(1, 2)
    data, shades = runs["fitting"], colours(runs["fitting"]["temperature"].values)
    for at, temperature in enumerate(data["temperature"].values.astype(float)):
        share = (data["unfitted"].isel(temperature=at) / POINTS).transpose("seed", "time").values
        x = data["time"].values * temperature * BATCH
        keep = (x > 0) & (np.median(share, axis=0) > 0)
        colour = shades[at]
        low, high = np.quantile(share, [0.25, 0.75], axis=0)
        axes[0].plot(x[keep], np.median(share, axis=0)[keep], color=colour, lw=1, label=f"{temperature:g}")
        axes[0].fill_between(x[keep], low[keep], high[keep], color=colour, alpha=0.25, lw=0)
    axes[0].set(xscale="log", xlabel=r"training time $\eta\,$steps", ylabel="unfitted share", title="noise acts late")
    axes[0].legend(title="$T$")
    last = runs["quieted"].isel(time=-1)
    ended = last["relative_norm"].where(last["stopped"])
    end = float(last["steps"].isel(quiet=-1).median())
    figures.curves(ended.isel(quiet=slice(None, -1)), x="quiet", axes=axes[1], log="x", title="noise until a step")
    axes[1].axhline(float(ended.isel(quiet=-1).mean()), color="0.4", lw=0.8, ls="--", label="to the end")
    axes[1].axvline(end / 2, color="0.4", lw=0.8, ls=":", label="$t^* / 2$")
    axes[1].set(xlabel="noise is switched off at step", ylabel=r"$|w - w_0| / |w_0|$ when fitted")
    axes[1].legend()
    return {"late": figure}


def no_noise(runs):
    """Take the cold runs for all temperatures: none has more noise than another."""
    data = switched_off("temperature", COLD)({"fitting": runs["fitting"]})["fitting"]
    alike = COLD * (1 + 1e-6 * np.arange(data.sizes["temperature"]))
    return {**runs, "fitting": data.assign_coords(temperature=alike)}


SOURCE = "Sclocchi, Geiger & Wyart 2023"

STUDY = Study(
    name="late_noise",
    question="does SGD noise act late in training, by what it takes to fit the last data?",
    paper="Sclocchi, Geiger & Wyart, Dissecting the effects of SGD noise in distinct regimes of deep learning, ICML 2023",
    world="a lazy network, one hidden layer of 64, on the parity of 256 of the 8x8 digits; batch 16, T = eta / B",
    experiments={"fitting": fitting, "quieted": quieted},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={
        "no noise": no_noise, "switching shuffled": shuffled("quiet"), "untrained": untrained,
    },
    symbols={"temperature": "$T$", "relative_norm": r"$|w - w_0| / |w_0|$"},
    claims=(
        Claim("longer", "noise makes training longer: ln of the time to fit all, hot over cold", 0.2, 5,
              f"{SOURCE}, abstract", null="no noise"),
        Claim("later", "noise acts late: it delays the last data by more than the first nine tenths", 0.2, 5,
              f"{SOURCE}, abstract", null="no noise"),
        Claim("late", "noise adds to the weights while the last tenth is fitted: share of what it adds", 0.5, 1.1,
              f"{SOURCE}, abstract, stopping process", null="switching shuffled"),
        Claim("stopping", "most of the training time goes into the last tenth of the data: share", 0.5, 1,
              f"{SOURCE}, abstract, stopping process", kind="derived", null="untrained"),
        Claim("before", "switching noise off changes nothing before", 0, 0, "same draws, same bits", kind="derived",
              null="switching shuffled"),
        Claim("finished", "runs fit their data: share", 0.95, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
