"""What a paper must say of a fit so that a reader can repeat it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscale.fitting.law import Law


def checklist(
    law: Law, columns: np.ndarray, y: np.ndarray, *, label: str, goodness: Mapping[str, float], status: str,
    reasons: Sequence[str], how: Mapping[str, Any],
) -> str:  # fmt: skip
    """Return the items of Li, Kudugunta & Zettlemoyer 2025 ("(Mis)fitting"), filled in from the parts of a fit.

    Users call `fit.checklist()`.

    Args:
      law: what was fitted.
      columns: (inputs, n) as fitted.
      y: (n,).
      label: of y.
      goodness: self-tests of the fit.
      status: of the fit.
      reasons: for the status, and what was left out.
      how: what was asked and done.
    """
    items = [("form", f"{law.formula}   ({law.name}; {law.source})")]
    items += [(f"parameter {name}", _parameter(law, name)) for name in law.params]
    for name, row in zip(law.inputs, columns):
        column = how.get("columns", {}).get(name, name)
        items.append((f"input {name}", f"'{column}', {len(np.unique(row))} values from {row.min():.4g} to {row.max():.4g}"))
    items += [
        ("output", f"'{label or 'y'}' from {y.min():.4g} to {y.max():.4g}"),
        ("runs", f"{len(y)} points from {how.get('source', 'arrays')}; {how.get('cluster', 'seeds as resampled')}"),
        ("left out", "; ".join(r for r in reasons if "left out" in r) or "nothing"),
        ("residuals", "log(law) - log(y)" if how.get("space", "log") == "log" else "law - y"),
        ("loss", _loss(how, goodness)),
        ("weights", str(how.get("weights", "equal"))),
        ("optimiser", f"variable projection, then {how.get('iterations')} Levenberg-Marquardt iterations in float64"),
        ("starts", f"{how.get('starts')}{' given by the user' if how.get('own starts') else ''}, "
                   f"{goodness['reached']:.1%} within 0.1 % of the best objective {goodness['objective']:.12g}"),
        ("uncertainty", f"{how.get('resamples')} {_resampling(how)}; "
                        f"{how.get('windows')} windows that drop the smallest scales"),
        ("hold-out", f"largest fifth of the scales: rmse {goodness['hold_out']:.4g}, {goodness['rmse']:.4g} in sample"),
        ("status", f"{status}" + "".join(f"; {reason}" for reason in reasons)),
    ]  # fmt: skip
    width = max(len(name) for name, _ in items)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in items)


def _resampling(how: Mapping[str, Any]) -> str:
    """Return in words where replicas came from."""
    units = f"{how.get('units')} {how.get('over')}"
    if not how.get("drawn"):
        return f"bootstrap resamples of {units}, expanded percentiles"
    if how.get("over") == "seeds":
        return f"draws with the modelled variance of {units}, Student's t of {how.get('freedom', 0):.0f} degrees of freedom"
    return f"wild bootstrap draws of {units} (HC2 and pooled), Student's t"


def _parameter(law: Law, name: str) -> str:
    """Return what a reader must know of one parameter: its meaning, its bounds and where its search began."""
    param = law.params[name]
    searched = "solved for exactly at each start" if name in law.linear else f"starts in {param.search}"
    if param.within:
        searched += f" x range of {param.within}"
    bounds = f"[{param.lower:g}, {param.upper:g}]" + (", searched in its logarithm" if param.positive else "")
    return f"{param.meaning}; bounds {bounds}; {searched}"


def _loss(how: Mapping[str, Any], goodness: Mapping[str, float]) -> str:
    """Return the loss in words, with the delta and the quadratic zone of a robust one."""
    delta = how.get("huber")
    if delta is None:
        return "sum of squares"
    if how.get("L1"):
        return f"sum of absolute residuals, as Huber's limit at delta = {delta:.2g}"
    return f"sum of Huber losses, delta = {delta:g} ({goodness['quadratic']:.0%} of the points in its quadratic zone)"
