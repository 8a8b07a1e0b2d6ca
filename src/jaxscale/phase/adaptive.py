"""Spend runs where the boundary is uncertain: ask for cells, tell what they gave, until the band is narrow enough.

A Gaussian process over a fixed lattice of candidate cells says where the observable may pass the level. A batch takes, one
after the other, the cells that would shrink the boundary's uncertainty most; a cell that has runs may be asked again, which is
how more seeds at old cells compete with new ones (Bryan et al. 2005; Picheny et al. 2010).
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SAMPLES = 200  # of the process, for the band
LENGTHS = (0.08, 0.15, 0.3, 0.6)  # of the process, as shares of the range
NUGGET = 1e-8


@dataclasses.dataclass
class Refinement:
    """The state of a refinement over two control parameters. Ask, run, tell, repeat; or let `refine` do it.

    Attributes:
      axes: {name: (n,) increasing values}; the boundary is sought along the second one.
      level: of the observable.
      log: names of axes that are even in their logarithm.
      noise: variance of one run, a first guess; learned from repeats.
      root: seed of the band's samples.
    """

    axes: Mapping[str, np.ndarray]
    level: float
    log: tuple[str, ...] = ()
    noise: float = 0.25
    root: int = 0

    def __post_init__(self):
        if len(self.axes) != 2:
            raise ValueError(f"a refinement takes two control parameters; got {list(self.axes)}.")
        for name, values in self.axes.items():
            if len(values) < 3 or np.any(np.diff(values) <= 0):
                raise ValueError(
                    f"axis '{name}' must hold at least 3 increasing values; got {np.asarray(values).tolist()[:6]}."
                )
        grids = np.meshgrid(*(self._even(name) for name in self.axes), indexing="ij")
        self._place = np.stack([g.ravel() for g in grids], axis=1)
        self.count = np.zeros(len(self._place), int)
        self.total, self.square = np.zeros(len(self._place)), np.zeros(len(self._place))
        self._told: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []

    def _even(self, name):
        v = np.asarray(self.axes[name], float)
        v = np.log(v) if name in self.log else v
        return (v - v[0]) / (v[-1] - v[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(len(v) for v in self.axes.values())

    def tell(self, cells: np.ndarray, values: np.ndarray, everything: Mapping[str, np.ndarray] | None = None) -> None:
        """Results of runs.

        Args:
          cells: (m,) flat indices of the lattice.
          values: (m,) observable of one run each; NaN (diverged) is left out.
          everything: {observable: (m,)} of the same runs, to be kept beside it.
        """
        cells, values = np.asarray(cells), np.asarray(values, float)
        if "runs" in (everything or {}):
            raise ValueError("an observable named 'runs' would hide the number of runs of a cell; rename it.")
        self._told.append((cells, {name: np.asarray(v) for name, v in (everything or {}).items()}))
        known = np.isfinite(values)
        np.add.at(self.count, cells[known], 1)
        np.add.at(self.total, cells[known], values[known])
        np.add.at(self.square, cells[known], values[known] ** 2)

    def ask(self, cells: int, runs: int) -> np.ndarray:
        """The (cells,) most useful cells if each is given `runs` runs; a space-filling set while nothing is known."""
        if not self.count.any():
            return self._spread(cells)
        mean, covariance = self._posterior()
        noise, chosen = self._noise() / runs, []
        for _ in range(cells):
            variance = np.maximum(np.diag(covariance), NUGGET)
            near = np.exp(-0.5 * (mean - self.level) ** 2 / (variance + NUGGET)) / np.sqrt(variance)  # density of the level
            # what one more batch here would take from the variance of all cells, where the boundary may be
            gain = (covariance**2 @ near) / (variance + noise)
            chosen.append(int(np.argmax(gain)))
            column = covariance[:, chosen[-1]]
            covariance = covariance - np.outer(column, column) / (column[chosen[-1]] + noise)
        return np.array(chosen)

    def boundary(self) -> Any:
        """Dataset over the first axis: position, low, high (95 %) and error of the level along the second, and crossed."""
        import xarray

        (x, _), (y, levels) = self.axes.items()
        mean, covariance = self._posterior()
        rng = np.random.default_rng(self.root)
        factor = np.linalg.cholesky(covariance + 1e-7 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
        draws = mean + rng.normal(size=(SAMPLES, len(mean))) @ factor.T
        even = self._even(y)
        found = np.array([_passage(even, draw.reshape(self.shape), self.level) for draw in draws])
        best = _passage(even, mean.reshape(self.shape), self.level)
        crossed = np.isfinite(found).mean(axis=0)
        settled = crossed > 0.9
        low, high = np.nanpercentile(np.where(settled, found, 0.0), [2.5, 97.5], axis=0)
        variables = {"position": best, "low": np.where(settled, low, np.nan), "high": np.where(settled, high, np.nan)}
        raw = np.log(levels) if y in self.log else np.asarray(levels, float)
        variables = {name: raw[0] + v * (raw[-1] - raw[0]) for name, v in variables.items()}
        variables = {name: np.exp(v) if y in self.log else v for name, v in variables.items()}
        variables["width"] = np.where(settled, high - low, np.nan)
        variables["crossed"] = crossed
        attrs = {"along": y, "level": self.level, "width": "of the band, as a share of the axis"}
        return xarray.Dataset({k: (x, v) for k, v in variables.items()}, {x: np.asarray(self.axes[x])}, attrs)

    def dataset(self) -> Any:
        """Every run that was told of with everything, as a sweep labels them.

        Returns:
          Dataset over the two axes and "seed", as long as the most visited cell has runs, NaN beyond a cell's own: each
          observable; and `runs`, how many of a cell have not diverged.
        """
        import xarray

        variables: dict[str, Any] = {"runs": (list(self.axes), self.count.reshape(self.shape))}
        variables |= {name: ([*self.axes, "seed"], table.reshape(*self.shape, -1)) for name, table in self._runs().items()}
        return xarray.Dataset(variables, dict(self.axes))

    def summary(self) -> Any:
        """Dataset over the two axes: mean and standard error of the observable, and count of its runs; NaN where none are."""
        import xarray

        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.count
            error = np.sqrt(self._noise() / self.count)
        columns = {"mean": mean, "error": np.where(self.count > 0, error, np.nan), "count": self.count}
        return xarray.Dataset({k: (list(self.axes), v.reshape(self.shape)) for k, v in columns.items()}, dict(self.axes))

    def _runs(self):
        """{observable: (cells, most runs of a cell)}, in the order of being told."""
        told = [(cells, columns) for cells, columns in self._told if columns]
        if not told:
            return {}
        cells = np.concatenate([cells for cells, _ in told])
        order = np.argsort(cells, kind="stable")
        count = np.bincount(cells, minlength=len(self.count))
        place = np.arange(len(cells)) - np.repeat(np.cumsum(count) - count, count)
        tables = {}
        for name in told[0][1]:
            tables[name] = np.full((len(count), count.max()), np.nan)
            tables[name][cells[order], place] = np.concatenate([columns[name] for _, columns in told])[order]
        return tables

    def _noise(self):
        repeats = self.count > 1
        if (self.count[repeats] - 1).sum() < 10:
            return self.noise
        spread = self.square[repeats] - self.total[repeats] ** 2 / self.count[repeats]
        return max(float(spread.sum() / (self.count[repeats] - 1).sum()), NUGGET)

    def _spread(self, cells):
        """Cells on a lattice as square as can be."""
        side = max(int(np.sqrt(cells)), 2)
        rows = [np.unique(np.linspace(0, n - 1, side).round().astype(int)) for n in self.shape]
        flat = np.ravel_multi_index([g.ravel() for g in np.meshgrid(*rows, indexing="ij")], self.shape)
        rest = np.setdiff1d(np.random.default_rng(self.root).permutation(len(self.count)), flat, assume_unique=True)
        return np.concatenate([flat, rest])[:cells]

    def _posterior(self):
        """(cells,) mean and (cells, cells) covariance; length and amplitude of the largest likelihood on a small grid."""
        seen = np.flatnonzero(self.count)
        y, noise = self.total[seen] / self.count[seen], self._noise() / self.count[seen]
        centre = y.mean()
        amplitude = max(float(np.var(y)), NUGGET)
        tried = []
        for lengths in itertools.product(LENGTHS, LENGTHS):
            near = self._place[seen] / np.array(lengths)
            factor = np.linalg.cholesky(amplitude * _matern(near, near) + np.diag(noise + 1e-6 * amplitude))
            z = np.linalg.solve(factor, y - centre)
            tried.append((0.5 * z @ z + np.sum(np.log(np.diag(factor))), lengths, factor, z))
        _, lengths, factor, z = min(tried, key=lambda one: one[0])
        scaled = self._place / np.array(lengths)
        cross = np.linalg.solve(factor, amplitude * _matern(scaled[seen], scaled))
        return centre + cross.T @ z, amplitude * _matern(scaled, scaled) - cross.T @ cross


def refine(
    experiment: Callable[..., Any], *, axes: Mapping[str, np.ndarray], observable: str, level: float, times: Any,
    log: tuple[str, ...] = (), cells: int = 16, runs: int = 8, budget: int = 4000, band: float = 0.0, root: int = 0,
    store: Any = None, tell: Callable[[Refinement], None] = lambda state: None, **how: Any,
) -> Refinement:  # fmt: skip
    """Run until the boundary's widest band is `band` of its axis, or the budget is spent.

    Every round is a sweep of the same shape: one compilation serves them all. With a store, a refinement that was stopped
    takes up its finished rounds and goes on; they are asked for in the same order.

    Args:
      experiment: as for `jaxscale.sweep`, of the two axes.
      axes: {name: increasing values}, the lattice of candidates; the boundary is sought along the second.
      observable: at the last of `times`.
      level: of its mean over runs.
      times: recorded steps.
      log: axes that are even in their logarithm.
      cells: asked for in a round.
      runs: of each.
      budget: runs in all.
      band: share of the second axis.
      root: of the runs' keys.
      store: folder of the rounds.
      tell: called after each round.
      **how: further arguments of `jaxscale.sweep`.
    """
    from jaxscale.sweep.run import sweep

    state = Refinement(axes, level, log, root=root)
    names, values = list(axes), [np.asarray(v) for v in axes.values()]

    def at(slot, turn):
        del turn  # part of every run's key: a cell that is asked again draws anew
        cell = slot // cells
        return experiment(**{n: _pick(v, cell, k, state.shape) for k, (n, v) in enumerate(zip(names, values))})

    for turn in range(max(budget // (cells * runs), 1)):
        asked = np.sort(state.ask(cells, runs))
        again = np.arange(cells) - np.searchsorted(asked, asked)  # 0, 1, ... within equal cells: each slot draws its own runs
        found = sweep(
            at, grid={"slot": (asked * cells + again).astype(np.int32), "turn": [turn]}, seeds=runs, times=times, root=root,
            store=None if store is None else f"{store}/round-{turn:04d}", progress=False, **how,
        )  # fmt: skip
        last = found.isel(time=-1, turn=0).transpose("slot", "seed")
        everything = {str(name): values.values.ravel() for name, values in last.items() if values.ndim == 2}
        state.tell(np.repeat(last["slot"].values // cells, runs), everything[observable], everything)
        tell(state)
        width = state.boundary()["width"].values
        if band and np.all(np.isfinite(width)) and width.max() <= band:
            break
    return state


def _pick(values, cell, axis, shape):
    """One coordinate of a cell, whether its index is a number or traced."""
    import jax
    import jax.numpy as jnp

    index = cell // shape[1] if axis == 0 else cell % shape[1]
    return jnp.asarray(values)[index] if isinstance(cell, jax.core.Tracer) else values[int(index)]


def _matern(a, b):
    """Matern 5/2: smooth, and not smoother than boundaries are."""
    r = np.sqrt(5 * np.maximum(np.sum((a[:, None] - b[None, :]) ** 2, axis=-1), 0))
    return (1 + r + r**2 / 3) * np.exp(-r)


def _passage(y, table, level):
    """(rows,) first passage of `level` along y; NaN without."""
    above = table >= level
    passed = above[:, 1:] != above[:, :-1]
    i, rows = np.argmax(passed, axis=1), np.arange(len(table))
    step = table[rows, i + 1] - table[rows, i]
    share = (level - table[rows, i]) / np.where(step == 0, 1.0, step)
    return np.where(passed.any(axis=1), y[i] + share * (y[i + 1] - y[i]), np.nan)
