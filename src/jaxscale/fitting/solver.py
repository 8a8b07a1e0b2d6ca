"""The solver makes every start and every resample a lane of one program, in float64 on the host's cores.

Float32 fits fail, and float64 on a TPU is impractical. Lanes go through in small blocks that stay in a core's cache, sharded
over the cores, in chunks of bounded memory: thousands of starts times thousands of resamples never exhaust it.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxscale.fitting.double_precision import float64
from jaxscale.fitting.law import Law, rung
from jaxscale.fitting.marquardt import MAX_DAMPING, State, searcher, unseen

if TYPE_CHECKING:
    from tqdm import tqdm

ITERATIONS = 60
STARTS = {1: 24, 2: 16}  # per searched parameter; with more of them, `SPREAD` points spread evenly over the box
SPREAD = 512
BLOCK_BYTES = 2**18  # of residuals of one block of lanes: about half a core's second-level cache
CHUNK_BLOCKS = 32  # per device and dispatch, between two moves of the progress bar
SEGMENT = 10  # iterations between two looks at which lanes still get better
STALLED = 1e-12  # relative gain over a segment below which a lane has arrived, or is stuck
SHRINK = 0.75  # lanes close ranks when this share of them is left: moving them costs as well


class Solution(NamedTuple):
    """Hold the fits of many data sets that share their x."""

    values: np.ndarray  # (resamples, params), the best start's
    objective: np.ndarray  # (resamples,), weighted sum of losses; a square counts whole, not half
    reached: np.ndarray  # (resamples,), share of starts within 0.1 % of the best objective
    every: np.ndarray  # (resamples, starts, params)
    objectives: np.ndarray  # (resamples, starts)
    slack: np.ndarray  # (resamples,), how much more still counts as the best objective


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
    fixed: Sequence[str] = (),
    spread: int | None = None,
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
      fixed: names of parameters that stay where they start.
      spread: how many of the law's own starts, evenly spread; by default as many as their number of dimensions needs.
      iterations: of Levenberg-Marquardt, at most; a lane that gains nothing in ten of them has arrived, or is stuck.
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
    given = own_starts(law, columns, y[0], spread) if starts is None else np.asarray(starts, np.float64)
    given = np.broadcast_to(given, (len(y), *given.shape[-2:]))
    free = np.array([name not in fixed for name in law.params], np.float64)
    room = rung(y.shape[1]) - y.shape[1] if law.elementwise else 0
    wide, tall = (np.pad(a, ((0, 0), (0, room)), mode="edge") for a in (columns, y))
    w, c = (np.pad(a, ((0, 0), (0, room))) for a in (weight, count))
    with float64():
        programs = _programs(law, space, huber, starts is None, len(columns), y.shape[1] + room)
        values, objective = _run(programs, wide, tall, w, c, free, given, iterations, progress)
    objective = np.where(np.isfinite(objective), objective, np.inf)
    best = np.argmin(objective, axis=1)
    lowest = np.take_along_axis(objective, best[:, None], 1)
    size = weight if space == "log" else weight * y**2  # an exact fit has objective 0: what rounding alone would leave
    slack = 1e-3 * lowest + (1e-9 if space == "log" else 1e-14) * np.sum(size * count, axis=1, keepdims=True)
    reached = np.mean(objective <= lowest + slack, axis=1)
    chosen = np.take_along_axis(values, best[:, None, None], 1)[:, 0]
    return Solution(chosen, lowest[:, 0], reached, values, objective, slack[:, 0])


def own_starts(law: Law, columns: np.ndarray, y: np.ndarray, spread: int | None = None) -> np.ndarray:
    """Return (starts, searched): over the search ranges, a grid of one or two parameters, evenly spread points of more."""
    data = dict(zip(law.inputs, columns)) | {"y": y}
    ranges = np.array([law.params[name].starts(data) for name in law.searched]).reshape(-1, 2)
    if not len(ranges) or (len(ranges) in STARTS and spread is None):
        axes = [np.linspace(low, high, STARTS[len(ranges)]) for low, high in ranges]
        points = np.array(list(itertools.product(*axes))).reshape(-1, len(ranges)) if axes else np.zeros((1, 0))
    else:
        ratio = _plastic(len(ranges))
        steps = (0.5 + np.arange(1, (spread or SPREAD) + 1)[:, None] * ratio ** -np.arange(1.0, len(ranges) + 1)) % 1
        points = ranges[:, 0] + steps * (ranges[:, 1] - ranges[:, 0])
    geometric = np.array([law.params[name].geometric for name in law.searched], bool)
    return np.where(geometric, np.exp(np.where(geometric, points, 0.0)), points)


def _plastic(d: int) -> float:
    """Return the root of x^(d+1) = x + 1, whose inverse powers spread points evenly (Roberts 2018, R-sequences)."""
    x = 2.0
    for _ in range(64):
        x = (1 + x) ** (1 / (d + 1))
    return x


class _Programs(NamedTuple):
    """Hold what is compiled for blocks of lanes. How many are in use is traced: one compilation serves any number of lanes."""

    project: Callable[..., Any]
    advance: Callable[..., Any]
    pack: Callable[[np.ndarray], np.ndarray] | None  # of starts that are whole; None if the linear ones are solved for
    positive: np.ndarray  # (params,), whose logarithms the search moves
    block: int
    sharding: NamedSharding


@functools.lru_cache(maxsize=128)
def _programs(law: Law, space: str, huber: float | None, projected: bool, inputs: int, points: int) -> _Programs:
    search = searcher(law, space, huber)
    devices = jax.local_devices(backend="cpu")
    block = max(4, min(64, BLOCK_BYTES // (8 * points)))
    mesh = Mesh(np.array(devices), ("lanes",))
    lanes, whole = PartitionSpec("lanes"), PartitionSpec()

    def sharded(function: Callable[..., Any], *specs: PartitionSpec) -> Callable[..., Any]:
        return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=lanes, check_vma=False))

    def project(
        used: jax.Array, x: jax.Array, y: jax.Array, weight: jax.Array, count: jax.Array, start: jax.Array
    ) -> jax.Array:  # fmt: skip
        first = jax.vmap(search.project, in_axes=(0, None, 0, 0, 0))
        empty = jnp.zeros((len(y), len(law.params)))
        return _over_blocks(lambda s, a, w, c: first(s, tuple(x), a, w, c), used, block, (start, y, weight, count), empty)

    def advance(
        used: jax.Array, steps: jax.Array, x: jax.Array, free: jax.Array, y: jax.Array, weight: jax.Array, count: jax.Array,
        state: State,
    ) -> State:  # fmt: skip
        move = jax.vmap(search.advance, in_axes=(0, None, None, 0, 0, 0, None))
        return _over_blocks(
            lambda s, a, w, c: move(s, steps, tuple(x), a, w, c, free), used, block, (state, y, weight, count), state
        )

    return _Programs(
        sharded(project, whole, whole, lanes, lanes, lanes, lanes),
        sharded(advance, whole, whole, whole, whole, lanes, lanes, lanes, lanes),
        None if projected else search.pack, search.positive, block, NamedSharding(mesh, lanes),
    )  # fmt: skip


def _over_blocks(function: Callable[..., Any], used: jax.Array, block: int, inputs: Any, out: Any) -> Any:
    """Apply `function` to the first `used` blocks of lanes, one after the other so that a block stays in a core's cache."""

    def cut(a: jax.Array, i: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(a, i * block, block)

    def one(i: jax.Array, out: Any) -> Any:
        part = function(*jax.tree.map(lambda a: cut(a, i), inputs))
        return jax.tree.map(lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, i * block, 0), out, part)

    return jax.lax.fori_loop(0, used, one, out)


def _run(
    programs: _Programs, x: np.ndarray, y: np.ndarray, weight: np.ndarray, count: np.ndarray, free: np.ndarray,
    starts: np.ndarray, iterations: int, progress: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return (resamples, starts, params) and their objectives, (resamples, starts), worked out chunk by chunk."""
    rows, which = (a.reshape(-1) for a in np.meshgrid(np.arange(len(y)), np.arange(starts.shape[1]), indexing="ij"))
    size = programs.block * programs.sharding.mesh.size * CHUNK_BLOCKS
    values, objectives = [], []
    with _bar(len(rows), progress) as bar:
        for at in range(0, len(rows), size):
            mine = slice(at, min(at + size, len(rows)))
            start = starts[rows[mine], which[mine]]
            z, objective = _chunk(programs, x, y, weight, count, free, rows[mine], start, iterations, bar)
            values.append(z)
            objectives.append(objective)
    return np.concatenate(values).reshape(*starts.shape[:2], -1), np.concatenate(objectives).reshape(starts.shape[:2])


def _chunk(
    programs: _Programs, x: np.ndarray, y: np.ndarray, weight: np.ndarray, count: np.ndarray, free: np.ndarray,
    rows: np.ndarray, start: np.ndarray, iterations: int, bar: "tqdm",
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return (lanes, params) and (lanes,) objectives of the lanes that fit rows `rows` of the data from `start`.

    Lanes that no longer get better leave, and the others close ranks. Each lane's answer is its own all the same.
    """
    devices, block = programs.sharding.mesh.size, programs.block
    room = devices * CHUNK_BLOCKS * block

    def seats(lanes: int) -> tuple[int, np.ndarray]:
        """Return how many blocks a device uses, the same on each, and the place of each lane in them."""
        used = -(-lanes // (block * devices))
        places = np.arange(room).reshape(devices, -1)[:, : used * block].reshape(-1)
        return used, places[:lanes]

    def put(values: np.ndarray, seat: np.ndarray) -> jax.Array:
        full = np.zeros((room, *values.shape[1:]))
        full[seat] = values
        return jax.device_put(full, programs.sharding)

    def data(live: np.ndarray, seat: np.ndarray) -> list[jax.Array]:
        return [put(a[rows[live]], seat) for a in (y, weight, count)]

    live = np.arange(len(rows))
    used, seat = seats(len(live))
    loaded = data(live, seat)
    if programs.pack is None:
        packed = np.asarray(programs.project(used, x, *loaded, put(start, seat)))[seat]
    else:
        packed = programs.pack(start)
    state = unseen(packed)
    on_device = tuple(put(a, seat) for a in state)
    moving, first = np.ones(len(live), bool), 1
    while iterations + first > 0 and len(live):
        steps = min(iterations, SEGMENT) + first
        iterations, first = iterations + first - steps, 0
        old_used, (used, seat) = used, seats(len(live))
        if used != old_used:
            loaded = data(live, seat)
            on_device = tuple(put(a[live], seat) for a in state)
        on_device = programs.advance(used, steps, x, free, *loaded, on_device)
        new = tuple(np.asarray(a)[seat] for a in on_device)
        gain = state[2][live] - new[2]
        for whole, part in zip(state, new):
            whole[live[moving]] = part[moving]
        # who has arrived stays as it was then, also while it rides along: its answer must not depend on the company
        # a lane whose every step was refused is still raising its damping, until that is at its limit
        better = moving & ((gain > STALLED * np.abs(new[2])) | ((gain == 0) & (new[1] < MAX_DAMPING)))
        bar.update(int(moving.sum() - better.sum()))
        moving = better
        if better.sum() <= SHRINK * len(live):
            live, used = live[better], -1
            moving = np.ones(len(live), bool)
    bar.update(int(moving.sum()))
    z, positive = state[0], programs.positive
    return np.where(positive, np.exp(np.where(positive, z, 0.0)), z), state[2]


def _bar(lanes: int, progress: bool) -> "tqdm":
    """Return a bar of the lanes that have arrived; it is shown on anything over two seconds."""
    from tqdm.auto import tqdm

    return tqdm(total=lanes, desc="fitting", unit="lane", delay=2, disable=not progress)
