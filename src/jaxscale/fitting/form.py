"""Is the form the data's? Tests that see a smooth misfit in a dozen points, where R2 and the eye do not.

A fit absorbs what its parameters can; what a wrong form leaves is small and smooth. So the residuals are asked for what the
law's tangent cannot give: bends in the logarithm of the scale, by F tests against scatter or the seeds' noise; bumps and
steps anywhere along it, by the largest of their F statistics, whose distribution is simulated; and whether the quoted parameter
of the larger half is that of the whole (Hausman 1978).
"""

import dataclasses

import numpy as np

from jaxscale.fitting.law import Law

REJECTED = 0.01  # p-value of each of two tests of bends
DRIFT, LOCAL = 0.005, 0.015  # of the larger half; of bumps and steps
NOISE = 0.002  # of residuals against the noise of the seeds
SIMULATED, KEY = 2000, 0  # draws of noise for the largest F, and their seed
WIDTHS = (0.7, 1.5)  # of bumps, in spacings


@dataclasses.dataclass(frozen=True)
class Form:
    """Hold the tests of a form; p-values, 1 where a test has nothing to go by.

    Attributes:
      bend: one bend more than the law has.
      waves: up to three bends more.
      local: the bump or the step that the residuals show most of, anywhere.
      drift: the quoted parameter of the larger half against that of all.
      excess: residuals against the noise of the seeds.
      half: (whole, larger half) the quoted parameter.
    """

    bend: float = 1.0
    waves: float = 1.0
    local: float = 1.0
    drift: float = 1.0
    excess: float = 1.0
    half: tuple[float, float] = (np.nan, np.nan)

    @property
    def worst(self) -> float:
        """Return the smallest p-value."""
        return min(self.bend, self.waves, self.local, self.drift, self.excess)


def tested(
    law: Law, x: np.ndarray, residual: np.ndarray, tangent: np.ndarray, weight: np.ndarray, windows: np.ndarray,
    used: np.ndarray, *, freedom: float | None,
) -> Form:  # fmt: skip
    """Return the tests of a fit's form.

    Args:
      law: what was fitted, by least squares.
      x: (inputs, n).
      residual: (n,) law less data in the space of the fit, weighted.
      tangent: (n, params) its derivatives by the parameters, weighted.
      weight: (n,) one over the variance; up to a factor if `freedom` is None.
      windows: (windows, params) fits; the first of all points, the last without the smallest scales.
      used: (windows, n) 0/1, which points those used.
      freedom: degrees of freedom of the noise that the seeds gave; None where the scatter is all that is known.
    """
    from scipy import special

    order = np.lexsort((residual, *x))  # simulated noise must not depend on the order of a table
    x, r, tangent, weight, used = x[:, order], residual[order], tangent[order], weight[order], used[:, order]
    root, (n, p) = np.sqrt(weight), tangent.shape
    left = n - p
    if left < 1 or not np.all(np.isfinite(tangent)):
        return Form()
    basis = _orthonormal(tangent)
    r = r - basis @ (basis.T @ r)
    square = float(r @ r)
    values = {"bend": 1.0, "waves": 1.0}
    for name, count in (("bend", 1), ("waves", 3)):
        extra = _orthonormal(_outside(root[:, None] * bends(law, x, p, count), basis))
        k = extra.shape[1]
        gain = float(np.sum((extra.T @ r) ** 2))
        if freedom is not None and k:
            values[name] = float(special.fdtrc(k, max(freedom, 1), gain / k))
        elif k and left - k >= 1:
            values[name] = float(special.fdtrc(k, left - k, gain / k / (max(square - gain, 1e-300) / (left - k))))
    excess = float(special.fdtrc(left, max(freedom, 1), square / left)) if freedom is not None else 1.0
    size = 1.0 if freedom is not None else square / left
    drift, half = _drift(law, tangent, windows, used, size, left if freedom is None else freedom)
    local = _local(law, x, r, root, basis, freedom)
    return Form(values["bend"], values["waves"], local, drift, excess, half)


def _local(law: Law, x: np.ndarray, r: np.ndarray, root: np.ndarray, basis: np.ndarray, freedom: float | None) -> float:
    """Return the p-value of the largest F of any bump or step along a single input; by simulation, which knows the design."""
    left = len(r) - basis.shape[1]
    if len(x) > 1 or left < 4:
        return 1.0
    u = np.log(x[0]) if law.needs_positive(law.inputs[0]) else x[0]
    places = np.unique(u)
    if not 6 <= len(places) <= 200:
        return 1.0
    spacing = np.ptp(places) / (len(places) - 1)
    centres = np.concatenate([places[1:-1], (places[1:-2] + places[2:-1]) / 2])
    shapes = [np.exp(-0.5 * ((u - c) / (w * spacing)) ** 2) for c in centres for w in WIDTHS]
    shapes += [(u > (a + b) / 2).astype(float) for a, b in zip(places[1:-2], places[2:-1])]
    columns = _outside(root[:, None] * np.stack(shapes, axis=1), basis)
    columns = columns / np.linalg.norm(columns, axis=0)
    rng = np.random.default_rng(KEY)
    noise = rng.normal(size=(SIMULATED, len(r)))
    noise -= (noise @ basis) @ basis.T
    scale = 1.0 if freedom is None else rng.chisquare(max(freedom, 1), SIMULATED) / max(freedom, 1)
    null = _largest(noise, columns, freedom is not None, scale)
    return float((1 + np.sum(null >= _largest(r[None], columns, freedom is not None, 1.0))) / (1 + SIMULATED))


def _largest(r: np.ndarray, columns: np.ndarray, known: bool, scale: np.ndarray | float) -> np.ndarray:
    """Return (draws,) the largest share of the squares of r (draws, n) along a column; against the noise if that is known."""
    gain = np.max((r @ columns) ** 2, axis=1)
    return gain / scale if known else gain / np.sum(r**2, axis=1)


def bends(law: Law, x: np.ndarray, params: int, count: int) -> np.ndarray:
    """Return (n, k) shapes that bend: of one input, polynomials of the first degrees that the law may lack; else products."""
    rows = [np.log(row) if law.needs_positive(name) else row for name, row in zip(law.inputs, x)]
    units = [2 * (row - row.min()) / max(np.ptp(row), 1e-300) - 1 for row in rows]
    if len(units) == 1:
        return np.stack([np.polynomial.legendre.Legendre.basis(params + k)(units[0]) for k in range(count)], axis=1)
    products = [a * b for i, a in enumerate(units) for b in units[i:]]
    return np.stack(products, axis=1) if count > 1 else np.sum(products, axis=0)[:, None]


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Return (n, rank) an orthonormal basis of columns, each of its own size."""
    size = np.linalg.norm(columns, axis=0)
    if not np.any(size > 0):
        return np.zeros((len(columns), 0))
    basis, scale, _ = np.linalg.svd(columns[:, size > 0] / size[size > 0], full_matrices=False)
    return basis[:, scale > 1e-7]


def _outside(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return columns less what the basis spans; those of which next to nothing is left are dropped."""
    left = columns - basis @ (basis.T @ columns)
    return left[:, np.linalg.norm(left, axis=0) > 1e-3 * np.linalg.norm(columns, axis=0)]


def _drift(
    law: Law, tangent: np.ndarray, windows: np.ndarray, used: np.ndarray, size: float, freedom: float
) -> tuple[float, tuple[float, float]]:
    """Return the p-value of the quoted parameter of the larger half against that of all, and the two."""
    from scipy import special

    if len(windows) < 2:
        return 1.0, (np.nan, np.nan)
    at = list(law.params).index(law.exponent)
    half = (float(windows[0, at]), float(windows[-1, at]))
    variance = wandering(tangent, used)[-1, at, at] * size
    if not np.isfinite(variance) or variance <= 0:
        return 1.0, half
    return float(2 * special.stdtr(max(freedom, 1), -abs(half[1] - half[0]) / np.sqrt(variance))), half


def wandering(tangent: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return (windows, params, params): how far chance takes a window's parameters from those of all points.

    The covariance of the difference between an efficient estimate and one from fewer data is the difference of their
    covariances (Hausman 1978). Infinite where a window does not determine them.

    Args:
      tangent: (n, params), weighted; in units of the noise.
      used: (windows, n) 0/1; all points first.
    """
    scale = np.maximum(np.linalg.norm(tangent, axis=0), 1e-300)
    unit, count = tangent / scale, tangent.shape[1]
    found = np.full((len(used), count, count), np.inf)
    covariances = []
    for rows in used > 0:
        gram = unit[rows].T @ unit[rows]
        covariances.append(np.linalg.inv(gram) if np.linalg.matrix_rank(gram, tol=1e-10) == count else None)
    for k, covariance in enumerate(covariances):
        if covariance is not None and covariances[0] is not None:
            found[k] = (covariance - covariances[0]) / np.outer(scale, scale)
    return found


def reasons(form: Form, law: Law) -> list[str]:
    """Return why a form is not the data's, and the laws to try instead; nothing where it may be."""
    lines = []
    if form.bend < REJECTED or form.waves < REJECTED:
        lines.append(f"the data bend where '{law.name}' does not (F test, p = {min(form.bend, form.waves):.1g})")
    elif form.local < LOCAL:
        lines.append(f"the data have a bump or a step that '{law.name}' has not (p = {form.local:.1g})")
    if form.drift < DRIFT:
        whole, half = form.half
        lines.append(f"{law.exponent} drifts: {whole:.3g} of all points, {half:.3g} of the larger half (p = {form.drift:.1g})")
    if form.excess < NOISE:
        lines.append(f"residuals exceed the seed noise (F test, p = {form.excess:.1g})")
    if lines and law.richer:
        lines[-1] += f": try {', '.join(law.richer)}, or compare() them"
    return lines
