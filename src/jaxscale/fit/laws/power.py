"""Power law: y = amplitude * x**-exponent."""

from jaxscale.fit.law import Law, Param


def shape(x, *, amplitude, exponent):
    """The formula."""
    return amplitude * x**-exponent


LAW = Law(
    name="power",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="y at x = 1, in units of y"),
        "exponent": Param(search=(-4, 4), meaning="decay exponent; negative for growth"),
    },
    linear=("amplitude",),
    formula=r"A x^{-\beta}",
    source="Hestness et al. 2017, arXiv:1712.00409",
)
