"""What a paper must say of a fit so that a reader can repeat it."""

import numpy as np

from jaxscale.fitting.result import Fit


def checklist(fit: Fit) -> str:
    """The items of Li, Kudugunta & Zettlemoyer 2025 ("(Mis)fitting"), filled in from the fit."""
    law, how = fit.law, fit.how
    items = [("form", f"{law.formula}   ({law.name}; {law.source})")]
    for name, param in law.params.items():
        searched = "solved for exactly at each start" if name in law.linear else f"starts in {param.search}"
        if param.within:
            searched += f" x range of {param.within}"
        bounds = f"[{param.lower:g}, {param.upper:g}]" + (", searched in its logarithm" if param.positive else "")
        items.append((f"parameter {name}", f"{param.meaning}; bounds {bounds}; {searched}"))
    for name, row in zip(law.inputs, fit.columns):
        column = how.get("columns", {}).get(name, name)
        items.append((f"input {name}", f"'{column}', {len(np.unique(row))} values from {row.min():.4g} to {row.max():.4g}"))
    items += [
        ("output", f"'{fit.label or 'y'}' from {fit.y.min():.4g} to {fit.y.max():.4g}"),
        ("runs", f"{len(fit.y)} points from {how.get('source', 'arrays')}; {how.get('cluster', 'seeds as resampled')}"),
        ("left out", "; ".join(r for r in fit.reasons if "left out" in r) or "nothing"),
        ("residuals", "log(law) - log(y)" if how.get("space", "log") == "log" else "law - y"),
        ("loss", _loss(fit)),
        ("weights", str(how.get("weights", "equal"))),
        ("optimiser", f"variable projection, then {how.get('iterations')} Levenberg-Marquardt iterations in float64"),
        ("starts", f"{how.get('starts')}{' given by the user' if how.get('own starts') else ''}, "
                   f"{fit.goodness['reached']:.1%} within 0.1 % of the best objective {fit.goodness['objective']:.12g}"),
        ("uncertainty", f"{how.get('resamples')} bootstrap resamples of {how.get('units')} {how.get('over')}, expanded "
                        f"percentiles; {how.get('windows')} windows that drop the smallest scales"),
        ("hold-out", f"largest fifth of the scales: rmse {fit.goodness['hold_out']:.4g}, {fit.goodness['rmse']:.4g} in sample"),
        ("status", f"{fit.status}" + "".join(f"; {reason}" for reason in fit.reasons)),
    ]  # fmt: skip
    width = max(len(name) for name, _ in items)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in items)


def _loss(fit):
    delta = fit.how.get("huber")
    if delta is None:
        return "sum of squares"
    if fit.how.get("L1"):
        return f"sum of absolute residuals, as Huber's limit at delta = {delta:.2g}"
    return f"sum of Huber losses, delta = {delta:g} ({fit.goodness['quadratic']:.0%} of the points in its quadratic zone)"
