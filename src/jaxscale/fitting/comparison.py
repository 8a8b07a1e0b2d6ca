"""Which law is it? The one that predicts the largest scales from the others; information criteria come second."""

import dataclasses
from collections.abc import Iterator, Sequence
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
    """Say how one law stands in a comparison.

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
    """Hold laws in order, the best first; print it."""

    rows: tuple[Row, ...]
    refused: dict[str, str]  # laws that could not be fitted, and why
    findings: tuple[str, ...]

    @property
    def best(self) -> Fit:
        """Return the fit of the first law, which is the best one."""
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


def _row(fitted: Fit) -> Row:
    """Return how a fitted law stands; AICc and BIC count its parameters and the variance."""
    n, k = len(fitted.y), len(fitted.law.params) + 1  # and the variance
    likelihood = n * np.log(np.mean(fitted.weight * fitted.residual**2) + 1e-300)
    corrected = 2 * k * n / (n - k - 1) if n > k + 1 else np.inf
    return Row(fitted, fitted.goodness["hold_out"], _one_out(fitted), float(likelihood + corrected),
               float(likelihood + k * np.log(n)))  # fmt: skip


def _one_out(fitted: Fit) -> float:
    """Return the error of predicting each scale from the others, all in one vmap; at most 24 groups of scales."""
    law, scale = fitted.law, checks.scale_of(fitted.law, fitted.columns)
    groups = np.searchsorted(np.unique(scale)[:: max(1, len(np.unique(scale)) // 24)], scale, side="right")
    out = np.array([groups == g for g in np.unique(groups)])
    best = np.array([list(fitted.values.values())])
    again = solve(
        law, fitted.columns, np.broadcast_to(fitted.y, out.shape), np.where(out, 0.0, fitted.weight), starts=best,
        space=fitted.how["space"], huber=fitted.how["huber"], iterations=fitted.how["iterations"],
    )  # fmt: skip
    gaps = []
    for mask, values in zip(out, again.values):
        predicted = law.at(fitted.columns[:, mask], dict(zip(law.params, values)))
        gaps.append(residuals(fitted.how["space"], predicted, fitted.y[mask]))
    return float(np.sqrt(np.mean(np.concatenate(gaps) ** 2)))


def _findings(rows: Sequence[Row]) -> Iterator[str]:
    """Say whether a floor or a break is supported: against the best law without one."""
    for what, has in (("a floor", lambda law: bool(law.floor)), ("a break", lambda law: law.broken)):
        with_it, without = ([row for row in rows if has(row.fit.law) is wanted] for wanted in (True, False))
        if not with_it or not without:
            continue
        gain = min(row.aic for row in without) - min(row.aic for row in with_it)
        missed = [min((r.hold_out for r in some if np.isfinite(r.hold_out)), default=np.inf) for some in (with_it, without)]
        if gain > SUPPORT and missed[0] <= TIE * missed[1]:
            yield f"{what} is supported (AICc lower by {gain:.1f}; held out {missed[0]:.2g} against {missed[1]:.2g})"
        elif gain > SUPPORT:
            yield f"{what} fits better in sample (AICc lower by {gain:.1f}) and predicts the largest scales worse"
        else:
            yield f"{what} is not supported (AICc {'lower' if gain > 0 else 'higher'} by {abs(gain):.1f})"
