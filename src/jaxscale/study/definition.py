"""A study: one paper, one question, its experiments, claims and controls."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxscale.engine.forecast.planning import Plan, plan
from jaxscale.study.claims import Claim, Control, Runs, checked
from jaxscale.study.found import Found


@dataclasses.dataclass(frozen=True)
class Study:
    """One paper, one question.

    Attributes:
      name: as in the file name.
      question: what is asked.
      paper: the reference.
      world: what is simulated, in a line: where a claim is not met, it is in this world.
      experiments: {name: function of the axes giving a system}.
      scales: {"smoke" | "laptop" | "accelerator": {experiment name: arguments of `sweep`}}.
      measure: {experiment name: Dataset} -> {name: Found}; a name left out is not tested at this scale. What no claim
        names is reported without a verdict.
      draw: ({experiment name: Dataset}, measured) -> {figure name: matplotlib figure}.
      claims: numbers to meet, at least one of the paper.
      controls: {name: function of the runs giving runs in which there is nothing to find}; see `jaxscale.study.controls`.
      symbols: {axis or observable: mathtext}, as figures write them.
      quick: its smoke scale takes a few seconds, compiling included, so that it is run with every test and every version.
      diverging: runs may diverge, and `measure` counts those that do. Where they may not, one that does fails every claim:
        means and maxima that leave it out would be of the runs that went well.

    Raises:
      ValueError: no claim of the paper, claims of one name, or a claim whose control is missing.
    """

    name: str
    question: str
    paper: str
    world: str
    experiments: Mapping[str, Any]
    scales: Mapping[str, Mapping[str, Mapping[str, Any]]]
    measure: Callable[[Runs], dict[str, Found]]
    draw: Callable[[Runs, dict[str, Found]], dict[str, Any]]
    claims: tuple[Claim, ...]
    controls: Mapping[str, Control] = dataclasses.field(default_factory=dict)
    symbols: Mapping[str, str] = dataclasses.field(default_factory=dict)
    quick: bool = False
    diverging: bool = False

    def __post_init__(self) -> None:
        checked(self.claims, self.controls, self.name)

    def judged(self, runs: Runs) -> dict[str, Found]:
        """What was measured; not a number, with the reason, where runs diverged that must not."""
        found = self.measure(runs)
        gone = {name: int((r["diverged_at"] >= 0).sum()) for name, r in runs.items() if "diverged_at" in r}
        why = ", ".join(f"{count} runs of {name} diverged" for name, count in gone.items() if count)
        claimed = {claim.name for claim in self.claims} if why and not self.diverging else set()
        return {name: Found(math.nan, note=f"{why}; {f}") if name in claimed else f for name, f in found.items()}

    def verdicts(self, found: Mapping[str, Found]) -> dict[str, str]:
        """The verdict of every claim, {claim name: verdict}."""
        return {claim.name: claim.verdict(found.get(claim.name)) for claim in self.claims}

    def under_controls(self, runs: Runs) -> dict[str, str]:
        """The verdict of every claim under its own control, {claim name: verdict}; of none may it be met."""
        used = {claim.null for claim in self.claims if claim.null}
        found = {name: self.measure(self.controls[name](runs)) for name in sorted(used)}
        return {claim.name: claim.verdict(found[claim.null].get(claim.name)) for claim in self.claims if claim.null}

    def plan(self, scale: str) -> dict[str, Plan]:
        """The plan of every sweep at a scale."""
        return {name: plan(self.experiments[name], **arguments) for name, arguments in self.at(scale).items()}

    def at(self, scale: str) -> Mapping[str, Mapping[str, Any]]:
        """The sweeps of a scale.

        Raises:
          ValueError: unknown scale.
        """
        if scale not in self.scales:
            raise ValueError(f"study '{self.name}' has no scale '{scale}'; choose from {list(self.scales)}.")
        return self.scales[scale]

    def on(self, source: str) -> "Study":
        """The study on other data: where its sweeps have `source` in static=, that is this one.

        Raises:
          ValueError: none has.
        """
        scales = {scale: {name: dict(sweep) for name, sweep in sweeps.items()} for scale, sweeps in self.scales.items()}
        chosen = [sweep for sweeps in scales.values() for sweep in sweeps.values() if "source" in sweep.get("static", {})]
        if not chosen:
            raise ValueError(f"study '{self.name}' has no source to change: none of its sweeps has 'source' in static=.")
        for sweep in chosen:
            sweep["static"] = {**sweep["static"], "source": (source,)}
        return dataclasses.replace(self, scales=scales, world=f"{self.world}; here of '{source}'")

    def size(self, scale: str) -> str:
        """How many seeds and steps a scale has, in words."""
        seeds, steps = set(), set()
        for arguments in self.at(scale).values():
            count = arguments["seeds"]
            seeds.add(math.prod(count.values()) if isinstance(count, Mapping) else int(count))
            steps.add(int(max(arguments["times"])))
        ends = (f"{min(s):,}" if len(s) == 1 else f"{min(s):,} to {max(s):,}" for s in (seeds, steps))
        return "{} seeds, {} steps".format(*ends)
