"""Power law of a shifted argument: a plateau at large x that belongs to the exponent and is no additive floor (M3)."""

from jaxscale.fit.law import Law, Param


def shape(x, *, amplitude, shift, exponent):
    """The formula."""
    return amplitude * (1 / x + shift) ** exponent


LAW = Law(
    name="shifted_power",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="scale, in units of y"),
        "shift": Param(lower=0, search=(1e-9, 1e-2), meaning="inverse of the x at which the curve levels off"),
        "exponent": Param(lower=0.001, upper=8.0, search=(0.02, 1.5), meaning="decay exponent before levelling off"),
    },
    linear=("amplitude",),
    formula=r"\beta (1/x + \gamma)^{c}",
    source="Alabdulmohsin, Neyshabur & Zhai 2022, arXiv:2209.06640, estimator M3",
)
