"""What a study claims, and the verdict on it: of the whole interval, and under a control in which it must not be met."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from jaxscale.study.found import Found

MET, NOT_MET, UNDECIDED, NOT_TESTED = "met", "NOT MET", "undecided", "not tested here"
KINDS = ("paper", "derived", "gate")
ROUNDING = 1e-6  # of an end, which float32 does not tell from it


@dataclasses.dataclass(frozen=True)
class Claim:
    """A number to meet.

    Attributes:
      name: key of the measurement.
      says: the claim in words.
      low: smallest value that meets it.
      high: largest.
      where: place in the paper, or where it is derived.
      kind: "paper", a sentence of the paper in our words; "derived", exact, or ours; "gate", a precondition without which the
        others mean nothing.
      null: the study's control in which it must not be met; a gate needs none.
    """

    name: str
    says: str
    low: float
    high: float
    where: str
    kind: Literal["paper", "derived", "gate"] = "paper"
    null: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"claim '{self.name}': kind must be one of {KINDS}; got {self.kind!r}.")
        if not self.low <= self.high:
            raise ValueError(f"claim '{self.name}': low must not exceed high; got {self.low} and {self.high}.")
        if self.kind != "gate" and not self.null:
            raise ValueError(
                f"claim '{self.name}' of kind '{self.kind}' needs null=, the name of a control of the study in which it must "
                "not be met."
            )

    def verdict(self, found: Found | None) -> str:
        """Return met where the whole interval is in the range, not met where none of it is, undecided where it straddles.

        A weak or failed estimate, or one without an interval, decides nothing; a number that is none is not met. Of a claim on
        several quantities all must be met, and one that is not suffices, with intervals that hold together.
        """
        if found is None:
            return NOT_TESTED
        if not found.parts:
            return self._one(found, 1)
        verdicts = {self._one(part, len(found.parts)) for part in found.parts.values()}
        return NOT_MET if NOT_MET in verdicts else UNDECIDED if UNDECIDED in verdicts else MET

    def _one(self, found: Found, quantities: int) -> str:
        if found.status != "ok":
            return UNDECIDED
        if math.isnan(found.value):
            return NOT_MET
        low, high = found.interval(quantities)
        if math.isnan(low) or math.isnan(high):
            return UNDECIDED
        first, last = self.low - ROUNDING * abs(self.low), self.high + ROUNDING * abs(self.high)
        if first <= low and high <= last:
            return MET
        return NOT_MET if high < first or low > last else UNDECIDED

    @property
    def range(self) -> str:
        """The range of values that meet it, in words."""
        if math.isinf(self.high):
            return f">= {self.low:.4g}"
        return f"<= {self.high:.4g}" if math.isinf(self.low) else f"{self.low:.4g} .. {self.high:.4g}"


Runs = Mapping[str, Any]
Control = Callable[[Runs], Runs]


def checked(claims: tuple[Claim, ...], controls: Mapping[str, Control], study: str) -> None:
    """Refuse claims without one of the paper, twice the same name, or with a control that the study does not have.

    Raises:
      ValueError: naming the study and the claim.
    """
    names = [claim.name for claim in claims]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"study '{study}': claims must have names of their own; {sorted(twice)} stand twice.")
    if not any(claim.kind == "paper" for claim in claims):
        raise ValueError(f"study '{study}': at least one claim must be of kind 'paper', a sentence of the paper.")
    for claim in claims:
        if claim.null and claim.null not in controls:
            raise ValueError(f"study '{study}', claim '{claim.name}': no control '{claim.null}'; controls: {sorted(controls)}.")
