"""Which law? The one that predicts the largest scales from the others; information criteria come second."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxscale.fitting import checks
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.law import residuals
from jaxscale.fitting.result import Fit, FitError
from jaxscale.fitting.solver import solve

NAME = "several laws ranked by the held-out largest scales; whether a floor or a break is supported"

TIE = 1.25  # ratio of held-out errors below which two laws predict alike
SUPPORT = 6.0  # difference of AIC that supports a parameter (Burnham & Anderson 2002)


@dataclasses.dataclass(frozen=True)
class Row:
    """One law's standing.

    Attributes:
      fit: to all the data.
      hold_out: rmse on the largest scales, not fitted.
      one_out: rmse of predicting each scale from the others.
      aic: Akaike's criterion with the small-sample correction, of squared residuals in the common space.
      bic: Schwarz's criterion.
    """

    fit: Fit
    hold_out: float
    one_out: float
    aic: float
    bic: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Laws in order, the best first; print it."""

    rows: tuple[Row, ...]
    refused: dict[str, str]  # laws that could not be fitted, and why
    findings: tuple[str, ...]

    @property
    def best(self) -> Fit:
        """The fit of the first law."""
        return self.rows[0].fit

    def __str__(self) -> str:
        lines = [f"{'law':<16} {'params':>6} {'held out':>9} {'scale out':>9} {'dAICc':>8} {'dBIC':>8}  status"]
        least = [min(getattr(row, name) for row in self.rows) for name in ("aic", "bic")]
        for row in self.rows:
            lines.append(
                f"{row.fit.law.name:<16} {len(row.fit.law.params):>6} {row.hold_out:>9.2e} {row.one_out:>9.2e} "
                f"{row.aic - least[0]:>8.1f} {row.bic - least[1]:>8.1f}  {row.fit.status}"
            )
        return "\n".join([*lines, *(f"{name}: {why}" for name, why in self.refused.items()), *self.findings])


def compare(laws: Sequence[Any], data: Any, *, space: str | None = None, **how: Any) -> Comparison:
    """Fit several laws to the same data and rank them.

    First comes who predicts the largest fifth of the scales, unseen; laws that do so about equally (within a factor 1.25) are
    ordered by AICc.

    Args:
      laws: to compare, all of the same inputs.
      data: as for `jaxscale.fit`.
      space: residuals of all of them, since criteria are comparable in a common space only; by default "raw" if it is every
        law's own, else "log".
      how: as for `jaxscale.fit`.

    Raises:
      FitError: no law could be fitted.
    """
    if not isinstance(laws, Sequence) or not laws:
        raise TypeError(f"laws must be a list of laws; got {type(laws).__name__}.")
    chosen = [getattr(law, "LAW", law) for law in laws]
    space = space or ("raw" if all(law.space == "raw" for law in chosen) else "log")
    rows, refused = [], {}
    for law in chosen:
        try:
            rows.append(_row(fit(law, data, space=space, **how)))
        except FitError as error:
            refused[law.name] = str(error)
    if not rows:
        raise FitError("no law could be fitted: " + "; ".join(f"{name}: {why}" for name, why in refused.items()))
    known = [row.hold_out for row in rows if np.isfinite(row.hold_out)]
    bar = TIE * min(known) if known else np.inf
    rows.sort(key=lambda row: (not row.hold_out <= bar, row.aic if row.hold_out <= bar else row.hold_out))
    notes = [reason for reason in rows[0].fit.reasons if "left out" in reason]
    return Comparison(tuple(rows), refused, (*_findings(rows), f"residuals in {space} y", *notes))


def _row(found: Fit) -> Row:
    n, k = len(found.y), len(found.law.params) + 1  # and the variance
    likelihood = n * np.log(np.mean(found.weight * found.residual**2) + 1e-300)
    corrected = 2 * k * n / (n - k - 1) if n > k + 1 else np.inf
    return Row(found, found.goodness["hold_out"], _one_out(found), float(likelihood + corrected),
               float(likelihood + k * np.log(n)))  # fmt: skip


def _one_out(found: Fit) -> float:
    """Each scale predicted from the others, all in one vmap; at most 24 groups of scales."""
    law, scale = found.law, checks.scale_of(found.law, found.columns)
    groups = np.searchsorted(np.unique(scale)[:: max(1, len(np.unique(scale)) // 24)], scale, side="right")
    out = np.array([groups == g for g in np.unique(groups)])
    best = np.array([list(found.values.values())])
    again = solve(
        law, found.columns, np.broadcast_to(found.y, out.shape), np.where(out, 0.0, found.weight), starts=best,
        space=found.how["space"], huber=found.how["huber"], iterations=found.how["iterations"],
    )  # fmt: skip
    gaps = []
    for mask, values in zip(out, again.values):
        made = law.at(found.columns[:, mask], dict(zip(law.params, values)))
        gaps.append(residuals(found.how["space"], made, found.y[mask]))
    return float(np.sqrt(np.mean(np.concatenate(gaps) ** 2)))


def _findings(rows):
    """Whether a floor or a break is supported: against the best law without one."""
    for what, has in (("a floor", lambda law: bool(law.floor)), ("a break", lambda law: law.broken)):
        with_it, without = ([row for row in rows if has(row.fit.law) is wanted] for wanted in (True, False))
        if not with_it or not without:
            continue
        gain = min(row.aic for row in without) - min(row.aic for row in with_it)
        held = [min((row.hold_out for row in some if np.isfinite(row.hold_out)), default=np.inf) for some in (with_it, without)]
        if gain > SUPPORT and held[0] <= TIE * held[1]:
            yield f"{what} is supported (AICc lower by {gain:.1f}; held out {held[0]:.2g} against {held[1]:.2g})"
        elif gain > SUPPORT:
            yield f"{what} fits better in sample (AICc lower by {gain:.1f}) and predicts the largest scales worse"
        else:
            yield f"{what} is not supported (AICc {'lower' if gain > 0 else 'higher'} by {abs(gain):.1f})"
