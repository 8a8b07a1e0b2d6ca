"""Numbers of a result, as the page needs them: plain JSON, thinned to a size that opens from disk."""

import math
from typing import Any

import numpy as np

MAX_NUMBERS = 1_500_000  # about 12 MB of text
MAX_SEEDS, MAX_CURVES, MAX_TIMES = 200, 12, 64
DIGITS = 5
HIDDEN = ("diverged", "diverged_at")


def experiment(name: str, runs: Any) -> dict[str, Any]:
    """Return one sweep's Dataset as plain JSON for the page.

    Every observable at the last recorded step, cell by cell: mean over seeds that have a value, its 95 % interval, seeds,
    diverged and unfinished counts; the seeds themselves and some trajectories, thinned where there are too many.
    """
    if "statistic" in runs.dims:
        return _moments(name, runs)
    seeds = [d for d in runs.dims if d in ("seed", "data", "init")]
    axes = [d for d in runs.dims if d not in (*seeds, "time")]
    cells = math.prod(runs.sizes[a] for a in axes) if axes else 1
    shown = [v for v in runs.data_vars if str(v) not in HIDDEN and set(runs[v].dims) >= set(seeds)]
    names = [str(v) for v in shown if runs[v].dtype.kind in "fiub"]
    seed_count = math.prod(runs.sizes[s] for s in seeds) if seeds else 1
    room = MAX_NUMBERS / max(cells * max(len(names), 1), 1)
    kept_seeds = int(min(seed_count, MAX_SEEDS, max(room / 2, 1)))
    times = np.asarray(runs["time"].values) if "time" in runs.dims else np.zeros(1)
    kept_times = np.unique(np.linspace(0, len(times) - 1, min(len(times), MAX_TIMES)).round().astype(int))
    kept_curves = int(min(seed_count, MAX_CURVES, max(room / 2 / len(kept_times), 1)))
    notes = []
    if kept_seeds < seed_count:
        notes.append(f"{kept_seeds} of {seed_count} seeds a cell are drawn; means and intervals are of all")
    if len(kept_times) < len(times) or kept_curves < seed_count:
        notes.append(f"trajectories: {kept_curves} seeds a cell at {len(kept_times)} of {len(times)} recorded steps")
    flat = {v: _flat(runs[v], axes, seeds, cells, seed_count) for v in names}
    return {
        "name": name, "axes": [_axis(runs, a) for a in axes],
        "observables": [
            _observable(v, str(runs[v].attrs.get("units", "")), values, kept_seeds, kept_curves, kept_times)
            for v, values in flat.items()
        ],
        "times": _plain(times[kept_times]), "runs": seed_count,
        "diverged": _plain(_count(runs, "diverged_at", axes, seeds, cells, lambda v: v >= 0)),
        "unfinished": _plain(_count(runs, "stopped", axes, seeds, cells, lambda v: ~v.astype(bool))),
        "notes": notes, "provenance": {str(k): _text(v) for k, v in runs.attrs.items()},
    }  # fmt: skip


def _moments(name, runs):
    """One sweep that kept moments over seeds: means with their intervals, mean trajectories, no single runs."""
    axes = [d for d in runs.dims if d not in ("time", "statistic", "quantile")]
    times = np.asarray(runs["time"].values)
    kept_times = np.unique(np.linspace(0, len(times) - 1, min(len(times), MAX_TIMES)).round().astype(int))
    table = {str(v): runs[v].transpose(*axes, "time", "statistic") for v in runs.data_vars if "statistic" in runs[v].dims}
    count = {
        k: runs[k].transpose(*axes, "time").values.reshape(-1, len(times))[:, -1] for k in ("runs", "diverged", "censored")
    }
    valid = count["runs"] - count["diverged"]

    def observable(v, data):
        mean, std = (data.sel(statistic=s).values.reshape(-1, len(times)) for s in ("mean", "std"))
        with np.errstate(invalid="ignore", divide="ignore"):
            reach = np.where(valid > 1, 1.96 * std[:, -1] / np.sqrt(np.maximum(valid - 1, 1)), np.nan)
        return {
            "name": v, "unit": str(runs[v].attrs.get("units", "")), "mean": _plain(mean[:, -1]),
            "low": _plain(mean[:, -1] - reach), "high": _plain(mean[:, -1] + reach), "count": _plain(valid),
            "seeds": [[] for _ in mean], "curves": [[_plain(row)] for row in mean[:, kept_times]],
        }  # fmt: skip

    return {
        "name": name, "axes": [_axis(runs, a) for a in axes], "observables": [observable(v, d) for v, d in table.items()],
        "times": _plain(times[kept_times]), "runs": int(count["runs"].max()), "diverged": _plain(count["diverged"]),
        "unfinished": _plain(count["censored"]), "provenance": {str(k): _text(v) for k, v in runs.attrs.items()},
        "notes": ["moments over seeds were kept, and no single runs: trajectories are means"],
    }  # fmt: skip


def _axis(runs, a):
    known = a in runs.coords
    return {"name": str(a), "values": _plain(runs[a].values) if known else list(range(runs.sizes[a])),
            "unit": str(runs[a].attrs.get("units", "")) if known else ""}  # fmt: skip


def _flat(data, axes, seeds, cells, count):
    """(cells, seeds, times)."""
    time = ["time"] if "time" in data.dims else []
    missing = [a for a in axes if a not in data.dims]
    data = data.expand_dims({a: 1 for a in missing}) if missing else data
    return np.asarray(data.transpose(*axes, *seeds, *time).values, float).reshape(cells, count, -1)


def _observable(name, unit, values, seeds, curves, times):
    last = values[:, :, -1]
    known = np.isfinite(last)
    count = known.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, last, 0).sum(1) / count
        spread = np.sqrt(np.where(known, (last - mean[:, None]) ** 2, 0).sum(1) / (count - 1) / count)
    mean = np.where(count > 0, mean, np.nan)
    reach = np.where(count > 1, 1.96 * spread, np.nan)
    return {
        "name": name, "unit": unit, "mean": _plain(mean), "low": _plain(mean - reach), "high": _plain(mean + reach),
        "count": _plain(count), "seeds": [_plain(row) for row in last[:, :seeds]],
        "curves": [[_plain(curve) for curve in cell] for cell in values[:, :curves][:, :, times]],
    }  # fmt: skip


def _count(runs, name, axes, seeds, cells, of):
    if name not in runs:
        return np.zeros(cells, int)
    data = runs[name].isel(time=-1) if "time" in runs[name].dims else runs[name]
    return of(np.asarray(data.transpose(*axes, *seeds).values)).reshape(cells, -1).sum(1)


def fit_facts(fit: Any) -> dict[str, Any]:
    """Return a fit's formula, status and estimates as text."""
    return {"label": fit.label, "formula": fit.law.formula, "status": fit.status, "reasons": list(fit.reasons),
            "estimates": {name: str(e) for name, e in fit.estimates.items()}}  # fmt: skip


def _plain(values):
    out: list[Any] = []
    for v in np.asarray(values).tolist():
        if isinstance(v, float):
            out.append(float(f"{v:.{DIGITS}g}") if math.isfinite(v) else None)
        else:
            out.append(v if isinstance(v, int | bool) else str(v))
    return out


def _text(value):
    text = str(value)
    return text if len(text) < 2000 else text[:2000] + " ..."
