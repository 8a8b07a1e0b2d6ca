"""The solver: every start and every resample a lane of one program, float64 on the host's cores whatever the global flag.

Float32 fits fail, and float64 on a TPU is impractical. Lanes go through in small blocks that stay in a core's cache, sharded
over the cores, in chunks of bounded memory: thousands of starts times thousands of resamples never exhaust it.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxscale.fit.float64 import float64
from jaxscale.fit.law import Law
from jaxscale.fit.marquardt import searcher

ITERATIONS = 60
STARTS = {1: 24, 2: 16}  # per searched parameter; with more of them, `SPREAD` points spread evenly over the box
SPREAD = 512
BLOCK_BYTES = 2**18  # of residuals of one block of lanes: about half a core's second-level cache
CHUNK_BLOCKS = 64  # per device and dispatch, between two moves of the progress bar


class Solution(NamedTuple):
    """Fits of many data sets that share their x."""

    values: np.ndarray  # (resamples, params), the best start's
    objective: np.ndarray  # (resamples,), weighted sum of losses; a square counts whole, not half
    reached: np.ndarray  # (resamples,), share of starts within 0.1 % of the best objective
    every: np.ndarray  # (resamples, starts, params)
    objectives: np.ndarray  # (resamples, starts)


def solve(
    law: Law,
    x: np.ndarray | Sequence[np.ndarray],
    y: np.ndarray,
    weight: np.ndarray,
    *,
    count: np.ndarray | None = None,
    space: str = "log",
    huber: float | None = None,
    starts: np.ndarray | None = None,
    held: Sequence[str] = (),
    iterations: int = ITERATIONS,
    progress: bool = False,
) -> Solution:
    """Fit `law` to every row of `y`.

    Args:
      law: what to fit.
      x: (n,), or one such array for each of the law's inputs; positive where the law takes powers.
      y: (resamples, n) or (n,); positive in log space.
      weight: like y, one over the variance of each residual; 0 leaves a point out, whatever its y.
      count: like y, how often each point stands in a resample; once if None. A robust loss is counted so often, which is
        not the loss of a larger residual.
      space: "log" for residuals log(model) - log(y), "raw" for model - y.
      huber: delta of the Huber loss on the weighted residual, summed and not averaged; None for squares.
      starts: (starts, params) whole parameter vectors, or (resamples, starts, params), each row's own; None for the law's
        own, with linear parameters solved for.
      held: names of parameters that stay where they start.
      iterations: of Levenberg-Marquardt, always all of them.
      progress: show a bar on anything over two seconds.
    """
    if space not in ("log", "raw"):
        raise ValueError(f"space must be 'log' or 'raw'; got {space!r}.")
    columns = np.atleast_2d(np.asarray(x, np.float64))
    if len(columns) != len(law.inputs):
        raise ValueError(f"law '{law.name}' takes {list(law.inputs)}; got {len(columns)} columns of x.")
    y = np.atleast_2d(y)
    weight = np.broadcast_to(weight, y.shape)
    count = np.ones_like(y) if count is None else np.broadcast_to(count, y.shape)
    y = np.where(weight > 0, y, 1.0)  # what is left out must not make NaN
    given = own_starts(law, columns, y[0]) if starts is None else np.asarray(starts, np.float64)
    given = np.broadcast_to(given, (len(y), *given.shape[-2:]))
    free = np.array([name not in held for name in law.params], np.float64)
    with float64():
        program = _program(law, space, huber, iterations, starts is None, y.shape[1])
        values, objective = _run(program, columns, y, weight, count, free, given, progress)
    objective = np.where(np.isfinite(objective), objective, np.inf)
    best = np.argmin(objective, axis=1)
    lowest = np.take_along_axis(objective, best[:, None], 1)
    slack = 1e-3 * lowest + 1e-9 * np.sum(weight > 0, axis=1, keepdims=True)  # an exact fit has objective 0
    reached = np.mean(objective <= lowest + slack, axis=1)
    chosen = np.take_along_axis(values, best[:, None, None], 1)[:, 0]
    return Solution(chosen, lowest[:, 0], reached, values, objective)


def own_starts(law: Law, columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(starts, searched): over the search ranges, a grid of one or two parameters, evenly spread points of more."""
    data = dict(zip(law.inputs, columns)) | {"y": y}
    ranges = np.array([law.params[name].starts(data) for name in law.searched]).reshape(-1, 2)
    if len(ranges) in (0, *STARTS):
        axes = [np.linspace(low, high, STARTS[len(ranges)]) for low, high in ranges]
        points = np.array(list(itertools.product(*axes))).reshape(-1, len(ranges)) if axes else np.zeros((1, 0))
    else:
        ratio = _plastic(len(ranges))
        steps = (0.5 + np.arange(1, SPREAD + 1)[:, None] * ratio ** -np.arange(1.0, len(ranges) + 1)) % 1
        points = ranges[:, 0] + steps * (ranges[:, 1] - ranges[:, 0])
    geometric = np.array([law.params[name].geometric for name in law.searched], bool)
    return np.where(geometric, np.exp(np.where(geometric, points, 0.0)), points)


def _plastic(d: int) -> float:
    """The root of x^(d+1) = x + 1, whose inverse powers spread points evenly (Roberts 2018, R-sequences)."""
    x = 2.0
    for _ in range(64):
        x = (1 + x) ** (1 / (d + 1))
    return x


class _Program(NamedTuple):
    run: object
    block: int
    sharding: NamedSharding


@functools.lru_cache(maxsize=128)
def _program(law: Law, space: str, huber: float | None, iterations: int, projected: bool, points: int) -> _Program:
    search = jax.vmap(searcher(law, space, huber, iterations, projected), in_axes=(0, None, 0, 0, 0, None))
    devices = jax.local_devices(backend="cpu")
    block = max(4, min(64, BLOCK_BYTES // (8 * points)))

    def local(x, y, weight, count, free, rows, starts):
        def one_block(lanes):
            row, start = lanes
            return search(start, tuple(x), y[row], weight[row], count[row], free)

        values, objective = jax.lax.map(
            one_block, (rows.reshape(-1, block), starts.reshape(len(rows) // block, block, starts.shape[1]))
        )
        return values.reshape(-1, values.shape[-1]), objective.reshape(-1)

    mesh = Mesh(np.array(devices), ("lanes",))
    lanes, whole = PartitionSpec("lanes"), PartitionSpec()
    run = jax.jit(
        jax.shard_map(
            local, mesh=mesh, in_specs=(whole, whole, whole, whole, whole, lanes, lanes), out_specs=lanes, check_vma=False
        )
    )
    return _Program(run, block, NamedSharding(mesh, lanes))


def _run(program, x, y, weight, count, free, starts, progress):
    """(resamples, starts, params) and (resamples, starts), chunk by chunk."""
    devices = program.sharding.mesh.size
    rows, which = (a.reshape(-1) for a in np.meshgrid(np.arange(len(y)), np.arange(starts.shape[1]), indexing="ij"))
    unit = program.block * devices
    size = min(unit * CHUNK_BLOCKS, unit * -(-len(rows) // unit))
    data = [jnp.asarray(a, jnp.float64) for a in (x, y, weight, count, free)]
    found = []
    for at in _bar(range(0, len(rows), size), len(rows) // size, progress):
        take = np.minimum(np.arange(at, at + size), len(rows) - 1)  # the last chunk repeats the last lane
        lanes = [jax.device_put(a, program.sharding) for a in (rows[take].astype(np.int32), starts[rows[take], which[take]])]
        found.append([np.asarray(a)[: len(rows) - at] for a in program.run(*data, *lanes)])
    values, objective = (np.concatenate(parts) for parts in zip(*found))
    return values.reshape(*starts.shape[:2], -1), objective.reshape(starts.shape[:2])


def _bar(chunks, count, progress):
    if not progress or count < 2:
        return chunks
    from tqdm.auto import tqdm

    return tqdm(chunks, desc="fitting", unit="chunk", delay=2)
