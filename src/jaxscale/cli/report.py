"""`jaxscale report | watch`."""

import time
from pathlib import Path
from typing import Any

from jaxscale.cli.codes import OK
from jaxscale.cli.studies import SCALES, find_study

BLOCKS = " .:-=+*#%@"


def add(commands: Any) -> None:
    """Add the commands of this file."""
    report = commands.add_parser("report", help="one HTML page of a store, or of a study's runs, that opens from disk")
    report.add_argument("source", help="folder of a store; or a study, whose runs lie in --runs")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="default: report.html")
    report.add_argument("--scale", default="smoke", choices=SCALES, help="of the study (default: smoke)")
    report.add_argument("--runs", type=Path, help="folder of the study's runs (default: runs/STUDY)")
    report.set_defaults(command=_report)

    watch = commands.add_parser("watch", help="progress and diagram so far of a sweep that is running, in the terminal")
    watch.add_argument("store", type=Path)
    watch.add_argument("--observable", help="what to draw (default: the first)")
    watch.add_argument("--every", type=float, default=5.0, help="seconds between two looks (default: 5)")
    watch.add_argument("--once", action="store_true", help="look once")
    watch.set_defaults(command=_watch)


def _report(arguments):
    from jaxscale.report.page import page, write_page
    from jaxscale.sweep.run import load

    if Path(arguments.source).is_dir():
        html = page({Path(arguments.source).name: load(arguments.source)}, title=f"jaxscale: {Path(arguments.source).name}")
    else:
        html = _study_page(find_study(arguments.source), arguments)
    path = write_page(arguments.output, html)
    print(f"{path}: {len(html) / 1e6:.1f} MB; open it in a browser")
    return OK


def _study_page(study, arguments):
    from jaxscale.report.page import page
    from jaxscale.study import describe_range
    from jaxscale.sweep.run import load

    folder = arguments.runs or Path("runs") / study.name
    stores = {name: folder / f"{arguments.scale}-{name}" for name in study.experiments}
    if missing := [str(path) for path in stores.values() if not path.is_dir()]:
        raise FileNotFoundError(
            f"no runs at {missing[0]}; make them with: jaxscale run {study.name} --scale {arguments.scale} --out {folder}"
        )
    runs = {name: load(path) for name, path in stores.items()}
    found = study.measure(runs)
    claims = [
        {
            "says": c.says, "range": describe_range(c), "found": str(found.get(c.name, "-")),
            "verdict": c.verdict(found.get(c.name)), "where": c.where,
        }
        for c in study.claims
    ]  # fmt: skip
    claimed = {c.name for c in study.claims}
    rest = {name: str(value) for name, value in found.items() if name not in claimed}
    return page(runs, title=f"{study.name}: {study.question}", claims=claims, found=rest)


def _watch(arguments):
    while True:
        print(_look(arguments), flush=True)
        if arguments.once:
            return OK
        time.sleep(arguments.every)


def _look(arguments):
    from jaxscale.sweep.audit import verify
    from jaxscale.sweep.run import load

    lines = [time.strftime("%H:%M:%S  ") + str(verify(arguments.store)).splitlines()[0]]
    runs = load(arguments.store)
    names = [str(name) for name in runs.data_vars if name not in ("diverged", "diverged_at")]
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
