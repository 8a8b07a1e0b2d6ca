"""Some self-tests cost as much as the fit: a profile of every parameter, and coverage simulated from the fitted law."""

import dataclasses

from jaxscale.fitting.profiles import profile
from jaxscale.fitting.result import Fit
from jaxscale.fitting.simulated_coverage import simulated

SETS, RESAMPLES = 200, 100  # the share of sets that an interval covers is then known to .015
MIN_COVERED = 0.90


def thorough(fit: Fit, *, progress: bool = False) -> Fit:
    """Return the fit with its profiles, the least coverage of its intervals among the goodness, and the verdict on both.

    What does not apply is left out and said: profiles want independent rows, coverage independent runs of equal weight.
    """
    reasons, notes, goodness, profiles = [], [], dict(fit.goodness), {}
    try:
        profiles = {name: profile(fit, name, progress=progress) for name in fit.law.params}
    except ValueError as error:
        notes.append(f"no profiles: {error}")
    for name, curve in profiles.items():
        if curve.minima > 1:
            reasons.append(f"the profile of {name} has {curve.minima} minima: the data allow several answers")
        if (curve.open_low or curve.open_high) and name != fit.law.floor:
            sides = "on both sides" if curve.open_low and curve.open_high else "above" if curve.open_high else "below"
            reasons.append(f"the profile of {name} is flat: its interval is open {sides}")
    try:
        covered = simulated(fit, sets=SETS, resamples=RESAMPLES, progress=progress).covered
    except ValueError as error:
        notes.append(f"no simulated coverage: {error}")
    else:
        worst = min(covered, key=lambda name: covered[name])
        goodness["coverage"] = covered[worst]
        if covered[worst] < MIN_COVERED:
            reasons.append(f"95 % intervals of {worst} cover {covered[worst]:.0%} of data simulated from this fit")
    status = "weak" if reasons and fit.status == "ok" else fit.status
    everything = (*fit.reasons, *reasons, *notes)
    return dataclasses.replace(fit, status=status, reasons=everything, goodness=goodness, profiles=profiles)
