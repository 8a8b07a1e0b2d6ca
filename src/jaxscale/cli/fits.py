"""`jaxscale fit | laws | compare`."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from jaxscale.cli.codes import FAILED, OK


def add(commands: Any) -> None:
    """Add the commands of this file."""
    fit = commands.add_parser("fit", help="fit a law to a table of runs, or to a sweep's store")
    _add_data(fit)
    fit.add_argument("--law", default="power", help="name, as `jaxscale laws` prints it (default: power)")
    fit.add_argument("--thorough", action="store_true", help="also profile likelihoods and simulated coverage: seconds more")
    fit.add_argument("--jackknife", action="store_true", help="also leave every run out in turn: bias, error, influence")
    fit.add_argument("--budget", default="", help="flops, comma-separated: optimal parameters and tokens there (chinchilla)")
    fit.add_argument("--no-figures", action="store_true", help="do not draw (matplotlib is then not needed)")
    fit.add_argument("--out", type=Path, help="folder for fit.json, checklist.txt and the figure")
    fit.set_defaults(command=_fit)

    compare = commands.add_parser("compare", help="fit several laws; rank them by the largest scales, held out")
    _add_data(compare)
    compare.add_argument("--laws", required=True, help="names, comma-separated")
    compare.set_defaults(command=_compare)

    laws = commands.add_parser("laws", help="list the laws with their formulas, and the measures")
    laws.set_defaults(command=_laws)


def _add_data(parser):
    parser.add_argument("data", type=Path, help="a .csv, .tsv, .jsonl or .parquet file, or the folder of a sweep's store")
    parser.add_argument("--x", required=True, help="columns of the law's inputs in its order, comma-separated")
    parser.add_argument("--y", required=True, help="column to explain")
    parser.add_argument("--bootstrap", type=int, default=400, help="resamples of runs or seeds (default: 400)")
    parser.add_argument("--huber", type=_delta, help="delta of the Huber loss, e.g. 1e-3, or L1; squares if left out")
    parser.add_argument("--space", choices=("log", "raw"), help="space of the residuals (default: the law's own)")
    parser.add_argument("--weight", help="column of weights, one over the variance")
    parser.add_argument("--cluster", help="column that says which rows are one run")
    parser.add_argument("--over", default="seed", help="of a store: the dimension to resample (default: seed)")
    parser.add_argument("--select", default="", help="of a store: NAME=VALUE,... to pick; time=last by itself")
    parser.add_argument("--unfinished", action="store_true", help="of a store: keep runs that have not stopped")
    parser.add_argument("--root", type=int, default=0, help="seed of the resampling")


def _delta(text):
    try:
        return text if text == "L1" else float(text)
    except ValueError:
        raise ArgumentTypeError(f"delta must be a number, or L1; got '{text}'.") from None


def _found_laws():
    from jaxscale.discovery import discover

    return discover("jaxscale.fitting.laws", "LAW")


def find_law(name: str) -> Any:
    """A law by name; the nearest name is offered where there is none."""
    import difflib

    laws = _found_laws()
    if name not in laws:
        near = difflib.get_close_matches(name, list(laws), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"there is no law '{name}'; `jaxscale laws` lists them.{hint}")
    return laws[name]


def _asked(arguments):
    """The data and the options that `fit` and `compare` share."""
    if arguments.bootstrap < 0:
        raise ValueError(f"--bootstrap must not be negative; got {arguments.bootstrap}.")
    how: dict[str, Any] = {
        "x": [name.strip() for name in arguments.x.split(",")], "huber": arguments.huber, "resamples": arguments.bootstrap,
        "root": arguments.root,
    }  # fmt: skip
    if not arguments.data.is_dir():
        if arguments.select:
            raise ValueError("--select picks from a sweep's store; of a table, select the rows first.")
        return arguments.data, how | {"y": arguments.y, "weight": arguments.weight, "cluster": arguments.cluster}
    if arguments.weight or arguments.cluster:
        raise ValueError("--weight and --cluster are for tables; a store's seeds are resampled and give the weights.")
    return _selected(arguments), how | {"over": arguments.over}


def _selected(arguments):
    from jaxscale.engine.loading import load

    runs = load(arguments.data)
    if arguments.y not in runs:
        raise ValueError(f"the store has no observable '{arguments.y}'; it has {sorted(map(str, runs.data_vars))}.")
    data = runs[arguments.y]
    for text in filter(None, arguments.select.split(",")):
        name, _, value = text.partition("=")
        if name not in data.dims:
            raise ValueError(f"--select: '{name}' is no dimension of {arguments.y}; choose from {list(map(str, data.dims))}.")
        try:
            wanted = data[name].values[-1] if value == "last" else float(value)
        except ValueError:
            raise ValueError(f"--select must be NAME=NUMBER or NAME=last; got '{text}'.") from None
        near = data.sel({name: wanted}, method="nearest")
        if abs(float(near[name]) - wanted) > 1e-3 * abs(wanted):
            raise ValueError(f"--select {text}: {name} has the values {data[name].values.tolist()[:20]}.")
        data = near
    if "stopped" in runs and arguments.y != "stopped":
        data = _where_stopped(data, runs["stopped"], arguments)
    names = [name.strip() for name in arguments.x.split(",")]
    if "time" not in data.dims:
        return data
    return _after_start(data, names, arguments) if "time" in names else data.isel(time=-1)


def _after_start(data, names, arguments):
    """Without step 0 where a law takes the step to a power: nobody can leave it out of a store."""
    laws = [find_law(name.strip()) for name in (arguments.laws if hasattr(arguments, "laws") else arguments.law).split(",")]
    inputs = {name for law in laws for name, given in zip(law.inputs, names) if given == "time" and law.needs_positive(name)}
    if not inputs or data["time"].values[0] != 0:
        return data
    print("step 0 is left out: the law takes the step to a power\n")
    return data.isel(time=slice(1, None))


def _where_stopped(data, stopped, arguments):
    """Runs that have not stopped by the last step are not averaged as if they had, unless asked."""
    over = {"time": -1} if "time" in stopped.dims else {}
    share = float(stopped.isel(over).mean())
    if arguments.unfinished or share == 1.0:
        return data
    print(f"{1 - share:.0%} of all runs had not stopped: they are left out (--unfinished keeps them)\n")
    return data.where(stopped)


def _fit(arguments):
    from jaxscale.fitting.curve_fit import fit
    from jaxscale.fitting.report import write

    law, budgets = find_law(arguments.law), _budgets(arguments.budget)
    data, how = _asked(arguments)
    result = fit(law, data, space=arguments.space, thorough=arguments.thorough, **how)
    print(result)
    _print_more(result, budgets, arguments.jackknife)
    print()
    print(result.checklist())
    if arguments.out:
        made = write(result, arguments.out)
        if not arguments.no_figures:
            from jaxscale.plot.fits import fit_page

            made.append(arguments.out / "fit.png")
            fit_page(result).savefig(made[-1], dpi=150)
        print("\nwritten: " + ", ".join(map(str, made)))
    return FAILED if result.status == "failed" else OK


def _budgets(text):
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--budget must be numbers of flops, e.g. 1e21,1e24; got '{text}'.") from None


def _print_more(result, budgets, leave_out):
    if result.profiles:
        print("\nprofile likelihood, 95 %: " + "; ".join(map(str, result.profiles.values())))
    for budget in budgets:
        print(f"\nat {budget:.3g} flops:")
        for name, estimate in result.optimum(budget).items():
            print(f"  {name} {estimate}   95 % [{estimate.low:.4g}, {estimate.high:.4g}]")
    if leave_out:
        from jaxscale.fitting.jackknifing import jackknife

        print("\nevery run left out in turn:")
        for name, j in jackknife(result).items():
            print(f"  {name}: bias {j.bias:.2g}, standard error {j.error:.2g}; run {j.influential} of the table moves it most")


def _compare(arguments):
    from jaxscale.fitting.comparison import compare

    data, how = _asked(arguments)
    laws = [find_law(name.strip()) for name in arguments.laws.split(",")]
    print(compare(laws, data, space=arguments.space, **how))
    return OK


def _laws(arguments):
    from jaxscale.discovery import discover

    for name, law in _found_laws().items():
        print(f"{name}({', '.join(law.inputs)})\n  {law.formula}\n  {law.source}")
    print("\nmeasures (jaxscale.fitting.measures):")
    for module, name in discover("jaxscale.fitting.measures", "NAME").items():
        print(f"{module}  {name}")
    print("\nprocedures (jaxscale.fitting):")
    for module, name in discover("jaxscale.fitting", "NAME").items():
        if "." not in module:
            print(f"{module}  {name}")
    return OK
