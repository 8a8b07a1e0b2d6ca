"""What is known of a boundary while it is refined: ask which cells to run next, tell what they gave.

A Gaussian process over a fixed lattice of candidate cells says where the observable may pass the level. A batch takes, one
after the other, the cells that would shrink the boundary's uncertainty most; a cell that has runs may be asked again, which is
how more seeds at old cells compete with new ones (Bryan et al. 2005; Picheny et al. 2010).
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.phase.passages import best_guess, passages_of, table_of
from jaxscale.phase.process import Observations, Posterior, Shape, learn

if TYPE_CHECKING:
    import xarray

PLACES = 1000  # where the boundary may be, looked at together
FINE = 200  # places of a row between which the band is interpolated
COARSE = 8  # cells along each axis that are candidates wherever the boundary is
NEIGHBOURS = 0.06  # share of an axis within which cells diverge alike
MIN_NOISE = 1e-5  # over the variance of the values: no process is smooth to more digits
TINY = 1e-12


@dataclasses.dataclass
class Refinement:
    """Hold the state of a refinement over two control parameters. Ask, run, tell, repeat; or let `refine` do it.

    Attributes:
      axes: {name: (n,) increasing values}; the boundary is sought along the second one.
      level: of the observable.
      log: names of axes that are even in their logarithm.
      noise: variance of one run, a first guess; learned from repeats.
      root: seed of what is asked.
    """

    axes: Mapping[str, np.ndarray]
    level: float
    log: tuple[str, ...] = ()
    noise: float = 0.25
    root: int = 0

    def __post_init__(self) -> None:
        if len(self.axes) != 2:
            raise ValueError(f"a refinement takes two control parameters; got {list(self.axes)}.")
        for name, values in self.axes.items():
            if len(values) < 3 or not np.all(np.diff(values) > 0) or not np.all(np.isfinite(values)):
                raise ValueError(
                    f"axis '{name}' must hold at least 3 increasing values; got {np.asarray(values).tolist()[:6]}."
                )
        if wrong := [name for name in self.log if name not in self.axes or np.min(self.axes[name]) <= 0]:
            raise ValueError(
                f"log names axes with positive values only; got '{wrong[0]}', and the axes are "
                f"{ {name: float(np.min(v)) for name, v in self.axes.items()} } (name: smallest value). Leave it out."
            )
        if not np.isfinite(self.level) or not self.noise > 0:
            raise ValueError(f"a refinement needs a finite level and noise > 0; got {self.level} and {self.noise}.")
        grids = np.meshgrid(*(self._even(name) for name in self.axes), indexing="ij")
        self._place = np.stack([g.ravel() for g in grids], axis=1)
        self._learned: tuple[int, Posterior] | None = None
        self.count, self.tried = np.zeros((2, len(self._place)), int)
        self.total, self.square = np.zeros(len(self._place)), np.zeros(len(self._place))
        self._reports: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []

    def _even(self, name: str) -> np.ndarray:
        """Return the places of an axis as a share of it, even in its logarithm where `log` names it."""
        v = np.asarray(self.axes[name], float)
        v = np.log(v) if name in self.log else v
        return (v - v[0]) / (v[-1] - v[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Return how many cells there are along each axis."""
        return tuple(len(v) for v in self.axes.values())

    def tell(self, cells: np.ndarray, values: np.ndarray, everything: Mapping[str, np.ndarray] | None = None) -> None:
        """Take in the results of runs.

        Args:
          cells: (m,) flat indices of the lattice.
          values: (m,) observable of one run each; NaN (diverged) is left out.
          everything: {observable: (m,)} of the same runs, to be kept beside it.
        """
        cells, values = np.asarray(cells), np.asarray(values, float)
        whole = np.issubdtype(cells.dtype, np.integer)
        if not whole or cells.shape != values.shape or cells.ndim != 1 or np.any((cells < 0) | (cells >= len(self.count))):
            raise ValueError(
                f"tell needs one flat index of {len(self.count)} cells a value; got {cells.dtype} of shape {cells.shape}, "
                f"and values of shape {values.shape}. A cell's index is np.ravel_multi_index((i, j), {self.shape})."
            )
        if "runs" in (everything or {}):
            raise ValueError("an observable named 'runs' would hide the number of runs of a cell; rename it.")
        for name, column in (everything or {}).items():
            if np.shape(column) != cells.shape:
                raise ValueError(f"everything['{name}'] must have the cells' shape {cells.shape}; got {np.shape(column)}.")
        self._reports.append((cells, {name: np.asarray(v) for name, v in (everything or {}).items()}))
        known = np.isfinite(values)
        np.add.at(self.tried, cells, 1)
        np.add.at(self.count, cells[known], 1)
        np.add.at(self.total, cells[known], values[known])
        np.add.at(self.square, cells[known], values[known] ** 2)

    def ask(self, cells: int, runs: int) -> np.ndarray:
        """Return the (cells,) most useful cells if each is given `runs` runs; a space-filling set while nothing is known."""
        if not self.count.any():
            return self._spread(cells, self.tried == 0)
        process, level = self._posterior()
        window = self._window(process, level)
        coarse = [np.unique(np.linspace(0, n - 1, COARSE).round().astype(int)) for n in self.shape]
        candidates = np.unique(np.concatenate([window.ravel(), np.ravel_multi_index(np.ix_(*coarse), self.shape).ravel()]))
        mean, covariance = process.joint(self._place[candidates])
        spacing, slope = self._around(window, process, level)
        alive = self._alive(candidates)
        rng, chosen = np.random.default_rng([self.root, len(self._reports)]), []
        for _ in range(cells):
            variance = np.maximum(np.diag(covariance), TINY)
            near = spacing[candidates] / slope[candidates]  # the boundary moves by a change over the slope
            near = near * np.exp(-0.5 * (mean - level) ** 2 / variance) / np.sqrt(variance)
            spread = variance + process.observed.worth(mean, variance, runs)
            chosen.append(int(np.argmax(alive * ((covariance**2).T @ near) / spread)))
            column, scale = covariance[:, chosen[-1]], np.sqrt(spread[chosen[-1]])
            # the next choice is made as if this one had come out one way or the other
            mean = mean + column / scale * rng.choice([-1, 1])
            covariance = covariance - np.outer(column, column) / scale**2
        return candidates[np.array(chosen)]

    def boundary(self, *, direction: str = "any", passages: int | None = None) -> "xarray.Dataset":
        """Return where the level is passed along the second axis, over the first one.

        Args:
          direction: "up", "down" or "any": which passages are returned.
          passages: how many, along a dimension "passage"; None for the first, without the dimension.

        Returns:
          Dataset as of `jaxscale.boundary`: `position`, its 95 % band `low` and `high`, `error`, `direction`, `status` and
          `count`; and `width` of the band as a share of the axis.
        """
        import xarray

        (x, _), (y, levels) = self.axes.items()
        process, level = self._posterior()
        first, last = self._reach(process, level)
        even, curves = self._even(y), []
        raw = np.log(levels) if y in self.log else np.asarray(levels, float)
        for row, at in enumerate(self._even(x)):
            places = np.union1d(np.linspace(even[first[row]], even[last[row]], FINE), even)
            score = self._scored(np.stack([np.full(len(places), at), places], axis=1))
            curves.append((passages_of(places, score), best_guess(places, score)))
        table = table_of(curves, (self.shape[0],), direction=direction, passages=passages)
        table["width"] = table["high"] - table["low"]
        for name in ("position", "low", "high"):
            table[name] = raw[0] + table[name] * (raw[-1] - raw[0])
            table[name] = np.exp(table[name]) if y in self.log else table[name]
        inner = [x, "passage"] if passages else [x]
        attrs = {"along": y, "level": self.level, "width": "of the band, as a share of the axis"}
        variables = {k: ([x] if k == "count" else inner, v) for k, v in table.items()}
        return xarray.Dataset(variables, {x: np.asarray(self.axes[x])}, attrs)

    def score(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return (len x, len y) normal quantiles of the chance of being above the level, at places in the axes' units."""
        even = []
        for (name, values), places in zip(self.axes.items(), (x, y)):
            ends, at = (np.log(v) if name in self.log else np.asarray(v, float) for v in (values, places))
            even.append((at - ends[0]) / (ends[-1] - ends[0]))
        grids = np.meshgrid(*even, indexing="ij")
        return self._scored(np.stack([g.ravel() for g in grids], axis=1)).reshape(grids[0].shape)

    def _scored(self, place: np.ndarray) -> np.ndarray:
        """Return (m,) scores at places (m, 2) in the unit square."""
        process, level = self._posterior()
        mean, variance = process.alone(place)
        return (mean - level) / (process.misfit * np.sqrt(variance))

    def dataset(self) -> "xarray.Dataset":
        """Return every run that came with all of its observables, as a sweep labels them.

        Returns:
          Dataset over the two axes and "seed", as long as the most visited cell has runs, NaN beyond a cell's own: each
          observable; and `runs`, how many of a cell have not diverged.
        """
        import xarray

        variables: dict[str, Any] = {"runs": (list(self.axes), self.count.reshape(self.shape))}
        variables |= {name: ([*self.axes, "seed"], table.reshape(*self.shape, -1)) for name, table in self._runs().items()}
        return xarray.Dataset(variables, dict(self.axes))

    def summary(self) -> "xarray.Dataset":
        """Return mean and standard error of the observable and count of the runs, over both axes; NaN without runs."""
        import xarray

        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.count
            error = np.sqrt(self._noise() / self.count)
        columns = {"mean": mean, "error": np.where(self.count > 0, error, np.nan), "count": self.count}
        return xarray.Dataset({k: (list(self.axes), v.reshape(self.shape)) for k, v in columns.items()}, dict(self.axes))

    def _runs(self) -> dict[str, np.ndarray]:
        """Return {observable: (cells, most runs of a cell)}, in the order in which the runs came."""
        reports = [(cells, columns) for cells, columns in self._reports if columns]
        if not reports:
            return {}
        cells = np.concatenate([cells for cells, _ in reports])
        order = np.argsort(cells, kind="stable")
        count = np.bincount(cells, minlength=len(self.count))
        place = np.arange(len(cells)) - np.repeat(np.cumsum(count) - count, count)
        tables = {}
        for name in reports[0][1]:
            tables[name] = np.full((len(count), count.max()), np.nan)
            tables[name][cells[order], place] = np.concatenate([columns[name] for _, columns in reports])[order]
        return tables

    def _noise(self) -> float:
        """Return the variance of one run: from repeats, once there are enough of them."""
        repeats = self.count > 1
        if (self.count[repeats] - 1).sum() < 10:
            return self.noise
        spread = self.square[repeats] - self.total[repeats] ** 2 / self.count[repeats]
        return max(float(spread.sum() / (self.count[repeats] - 1).sum()), TINY)

    def _alive(self, candidates: np.ndarray) -> np.ndarray:
        """Return (m,) chance that a run there does not diverge, by the runs of the cell and its neighbours; 1 if all lived."""
        seen = np.flatnonzero(self.tried)
        if np.all(self.count[seen] == self.tried[seen]):
            return np.ones(len(candidates))
        apart = np.sum((self._place[candidates, None] - self._place[None, seen]) ** 2, axis=2)
        near = np.exp(-0.5 * apart / NEIGHBOURS**2)
        return (near @ self.count[seen] + 0.1) / (near @ self.tried[seen] + 0.1)

    def _spread(self, cells: int, free: np.ndarray) -> np.ndarray:
        """Return cells on a lattice as square as can be, those that are `free` first; from the first again if they run out."""
        side = max(int(np.sqrt(cells)), 2)
        rows = [np.unique(np.linspace(0, n - 1, side).round().astype(int)) for n in self.shape]
        flat = np.ravel_multi_index([g.ravel() for g in np.meshgrid(*rows, indexing="ij")], self.shape)
        rest = np.setdiff1d(np.random.default_rng(self.root).permutation(len(self.count)), flat, assume_unique=True)
        order = np.concatenate([flat, rest])
        return np.resize(order[np.argsort(~free[order], kind="stable")], cells)

    def _posterior(self) -> tuple[Posterior, float]:
        """Return the process conditioned on all runs, and the level in its units; learned once for what has come."""
        seen = np.flatnonzero(self.count)
        if not len(seen):
            raise ValueError("nothing is known of the boundary yet: tell of at least one run that has not diverged.")
        count, total, place = self.count[seen], self.total[seen], self._place[seen]
        outcomes = bool(np.all(self.square[seen] == total) and np.all((total >= 0) & (total <= count)) and 0 < self.level < 1)
        if outcomes:
            observed, level = Observations(place, count, total, True), float(np.log(self.level / (1 - self.level)))
        else:
            centre, scale = np.mean(total / count), max(float(np.std(total / count)), TINY**0.5)
            noise = max(self._noise() / scale**2, MIN_NOISE)
            observed = Observations(place, count, (total - count * centre) / scale, False, noise)
            level = (self.level - centre) / scale
        if self._learned is None or self._learned[0] != len(self._reports):
            start = self._learned[1].shape if self._learned else Shape()
            self._learned = (len(self._reports), learn(observed, start))
        return self._learned[1], level

    def _reach(self, process: Posterior, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows,) first and last column between which each row may pass the level."""
        rows, columns = self.shape
        mean, variance = process.alone(self._place)
        far = (np.abs(mean - level) / np.sqrt(variance)).reshape(self.shape)
        above = (mean >= level).reshape(self.shape)
        near = far < 3
        near[:, 1:] |= above[:, 1:] != above[:, :-1]
        near[np.arange(rows), far.argmin(axis=1)] = True
        return np.maximum(near.argmax(axis=1) - 1, 0), np.minimum(columns - near[:, ::-1].argmax(axis=1), columns - 1)

    def _window(self, process: Posterior, level: float) -> np.ndarray:
        """Return (rows, places) flat indices, increasing along a row, of where each row may pass the level."""
        rows, columns = self.shape
        first, last = self._reach(process, level)
        places = min(max(PLACES // rows, 4), columns)
        share = np.linspace(0, 1, places)
        index = (first[:, None] + share * np.maximum(last - first, places - 1)[:, None]).round().astype(int)
        index -= np.maximum(index[:, -1] - (columns - 1), 0)[:, None]
        return np.arange(rows)[:, None] * columns + index

    def _around(self, window: np.ndarray, process: Posterior, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (cells,) share of the second axis a cell of the window stands for, and the latent slope of its row there."""
        mean, variance = (v.reshape(window.shape) for v in process.alone(self._place[window.ravel()]))
        y = self._even(list(self.axes)[1])[window % self.shape[1]]
        near = np.exp(-0.5 * (mean - level) ** 2 / variance) / np.sqrt(variance) + TINY
        rise = np.abs(np.gradient(mean, axis=1) / np.gradient(y, axis=1))
        row = np.sum(near * np.maximum(rise, np.sqrt(variance)), axis=1) / near.sum(axis=1)
        spacing, slope = np.zeros(len(self._place)), np.ones(len(self._place))
        spacing[window], slope[window] = np.gradient(y, axis=1), row[:, None]
        return spacing, slope
