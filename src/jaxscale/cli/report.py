"""`jaxscale report | watch`."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxscale.cli.codes import OK
from jaxscale.cli.studies import SCALES, find_study

BLOCKS = " .:-=+*#%@"
MAX_FITS = 24


def add(commands: Any) -> None:
    """Add the commands of this file."""
    report = commands.add_parser("report", help="one HTML page of a store, or of a study's runs, that opens from disk")
    report.add_argument("source", help="folder of a store; or a study, whose runs lie in --runs")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="default: report.html")
    report.add_argument("--scale", default="smoke", choices=SCALES, help="of the study (default: smoke)")
    report.add_argument("--runs", type=Path, help="folder of the study's runs (default: runs/STUDY)")
    report.add_argument(
        "--law", help="fit this law (see `jaxscale laws`) to --y along --x in every curve of a store, at its end"
    )
    report.add_argument("--x", help="axis of the fits")
    report.add_argument("--y", help="observable of the fits")
    report.set_defaults(command=_report)

    watch = commands.add_parser("watch", help="progress and diagram so far of a sweep that is running, in the terminal")
    watch.add_argument("store", type=Path)
    watch.add_argument("--observable", help="what to draw (default: the first)")
    watch.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default: 5)")
    watch.add_argument("--once", action="store_true", help="look once")
    watch.set_defaults(command=_watch)


def _report(arguments):
    from jaxscale.engine.loading import load
    from jaxscale.report.document import page, write_page

    if Path(arguments.source).is_dir():
        name, runs = Path(arguments.source).name, load(arguments.source)
        html = page({name: runs}, title=f"jaxscale: {name}", fits=_fits(runs, arguments) if arguments.law else ())
    else:
        html = _study_page(find_study(arguments.source), arguments)
    path = write_page(arguments.output, html)
    print(f"{path}: {len(html) / 1e6:.1f} MB; open it in a browser")
    return OK


def _fits(runs, arguments):
    """The law, fitted along --x at the last recorded step, for every value of the other axes."""
    from itertools import product

    from jaxscale.cli.fits import find_law
    from jaxscale.fitting.curve_fit import fit

    for option, names in (("x", runs.dims), ("y", runs.data_vars)):
        if getattr(arguments, option) not in names:
            raise ValueError(f"--law needs --{option}, one of {sorted(map(str, names))}; got {getattr(arguments, option)}.")
    law, data = find_law(arguments.law), runs[arguments.y].isel(time=-1)
    others = [d for d in data.dims if d not in (arguments.x, "seed", "data", "init")]
    fits = []
    for values in list(product(*(data[d].values.tolist() for d in others)))[:MAX_FITS]:
        where = dict(zip(others, values))
        one = fit(law, data.sel(where), x=arguments.x, progress=False)
        fits.append(replace(one, label=f"{arguments.y} at {where}" if where else arguments.y))
    return fits


def _study_page(study, arguments):
    from jaxscale.engine.loading import load
    from jaxscale.report.document import page

    folder = arguments.runs or Path("runs") / study.name
    stores = {name: folder / f"{arguments.scale}-{name}" for name in study.at(arguments.scale)}
    if missing := [str(path) for path in stores.values() if not path.is_dir()]:
        raise FileNotFoundError(
            f"no runs at {missing[0]}; make them with: jaxscale run {study.name} --scale {arguments.scale} --out {folder}"
        )
    runs = {name: load(path) for name, path in stores.items()}
    found = study.judged(runs)
    claims = [
        {
            "says": c.says, "range": c.range, "found": str(found.get(c.name, "-")),
            "verdict": c.verdict(found.get(c.name)), "where": c.where,
        }
        for c in study.claims
    ]  # fmt: skip
    claimed = {c.name for c in study.claims}
    rest = {name: str(value) for name, value in found.items() if name not in claimed}
    return page(runs, title=f"{study.name}: {study.question}", claims=claims, found=rest)


def _watch(arguments):
    began, first = time.perf_counter(), None
    while True:
        runs = load_quietly(arguments.store)
        done, asked = _counts(arguments.store, runs)
        first = done if first is None else first
        print(f"{time.strftime('%H:%M:%S')}  {done} of {asked} runs done{_pace(done - first, asked - done, began)}")
        print(_look(arguments, runs), flush=True)
        if arguments.once or done == asked:
            return OK
        time.sleep(arguments.every)


def load_quietly(store):
    """The result so far; pieces that are being written while we look are next time's."""
    import warnings

    from jaxscale.engine.loading import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(store)


def _counts(store, runs):
    """(done, asked for) runs of a store."""
    import numpy as np

    from jaxscale.engine.store.disk import DiskStore
    from jaxscale.engine.store.manifest import read_grid

    grid = read_grid(DiskStore.read(store).manifest)
    asked = len(grid.buckets()) * grid.lanes_per_bucket
    if "statistic" in runs.dims:
        return int(runs["runs"].isel(time=-1).sum()) if "runs" in runs else 0, asked
    return int(np.isfinite(runs["diverged_at"].values.astype(float)).sum()) if "diverged_at" in runs else 0, asked


def _pace(done, left, began):
    if not done or not left:
        return ""
    rate = done / (time.perf_counter() - began)
    return f", {rate:.3g} a second, about {left / rate:.0f} s left"


def _look(arguments, runs):
    lines: list[str] = []
    if "statistic" in runs.dims:
        runs = runs.sel(statistic="mean")
    names = [str(name) for name in runs.data_vars if name not in ("diverged", "diverged_at", "runs", "censored")]
    if not names:
        return "\n".join([*lines, "no finished runs yet"])
    name = arguments.observable or names[0]
    if name not in names:
        raise ValueError(f"the store has no observable '{name}'; it has {names}.")
    return "\n".join([*lines, _diagram(runs[name])])


def _diagram(data):
    """Characters from small to large over the two longest axes, the mean over seeds at the last recorded step."""
    import numpy as np

    data = data.isel(time=-1) if "time" in data.dims else data
    data = data.mean([d for d in data.dims if d in ("seed", "data", "init")])
    axes = sorted(data.dims, key=lambda d: -data.sizes[d])
    x, y = (axes[0] if axes else None), (axes[1] if len(axes) > 1 else None)
    picked = {d: data.sizes[d] - 1 for d in axes[2:]}
    values = np.atleast_2d(data.isel(picked).transpose(*[d for d in (y, x) if d]).values.astype(float))
    known = values[np.isfinite(values)]
    if not len(known):
        return f"{data.name}: no finite value yet"
    low, high = known.min(), known.max()
    rank = np.where(np.isfinite(values), (values - low) / max(high - low, 1e-300) * (len(BLOCKS) - 1), -1).round().astype(int)
    rows = ["".join("?" if r < 0 else BLOCKS[r] * 2 for r in row) for row in rank[::-1]]
    return "\n".join(
        [f"{data.name}: '{BLOCKS[0]}' {low:.4g} to '{BLOCKS[-1]}' {high:.4g}; {y or ''} up, {x or ''} right", *rows]
    )
