"""The sweep engine against the obvious ways: stopping times with a heavy tail, widths, shared disorder, many lanes, many cells.

python benchmarks/engine.py            all of it, a few minutes
python benchmarks/engine.py tail       one part: tail, width, sharing, lanes, devices, cells, resume, reduce
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")

import jaxscale as js  # noqa: E402, I001
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from race import machine_limits, race  # noqa: E402

from jaxscale import Descent  # noqa: E402
from jaxscale.models.matrix_sensing import SymmetricSensing  # noqa: E402
from jaxscale.models.operators import Gaussian  # noqa: E402
from jaxscale.engine.machine.devices import cores  # noqa: E402
from jaxscale.engine.place.probe import measure, pick, rate  # noqa: E402
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.place.width import usual_width
from jaxscale.engine.ask.request import Request  # noqa: E402

DEVICES = jax.devices()[: cores()]
LANES, MEDIAN, SPREAD = 20_000, 300.0, 0.9  # of the heavy tail: ln(stopping time) has standard deviation 0.9
QUIET = dict(progress=False, devices=DEVICES)


@js.record
class Tail:
    """A small nonlinear map that stops after exp(N(ln MEDIAN, SPREAD)) steps."""

    median: float
    d: int = js.static(default=32)

    def sample(self, key):
        key_time, key_map = jax.random.split(key)
        return self.median * jnp.exp(SPREAD * jax.random.normal(key_time)), jax.random.normal(
            key_map, (self.d, self.d)
        ) / self.d**0.5

    def init(self, key, data):
        return jax.random.normal(key, (self.d,)), jnp.int32(0)

    def step(self, key, state, data):
        x, t = state
        over = self.stopped(state, data)
        return jnp.where(over, x, jnp.tanh(1.5 * (data[1] @ x))), jnp.where(over, t, t + 1)

    def stopped(self, state, data):
        return state[1] >= data[0]

    def observe(self, state, data):
        return {"steps": state[1], "norm": jnp.linalg.norm(state[0])}


def tail(median):
    return Tail(median=median)


def say(**facts):
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in facts.items()}), flush=True)


def heavy_tail():
    """Ours against a vmapped while loop, in one go and in batches, and a loop over seeds."""
    system, last = tail(MEDIAN), int(MEDIAN * np.exp(5 * SPREAD))
    arguments = dict(grid={"median": [MEDIAN]}, seeds=LANES, times=[last], **QUIET)

    def until_stopped(key):
        key_data, key_init, _ = jax.random.split(key, 3)
        data = system.sample(key_data)
        start = system.init(key_init, data)
        state = jax.lax.while_loop(
            lambda s: (s[1] < last) & ~system.stopped(s, data), lambda s: system.step(key, s, data), start
        )
        return system.observe(state, data)

    lanes = Request.make(tail, **{k: v for k, v in arguments.items() if k != "progress"}).grid.lanes({})
    fold = jax.jit(jax.vmap(lambda words, seed: jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(
        jax.random.key(0, impl="threefry2x32"), words[0]), words[1]), seed)))  # fmt: skip
    keys = fold(jnp.asarray(lanes.words), jnp.asarray(lanes.seeds[:, 0]))  # the runs' own keys: the same runs for everyone
    together, one = jax.jit(jax.vmap(until_stopped)), jax.jit(until_stopped)
    found = {}

    def ours():
        found["runs"] = js.sweep(tail, **arguments)
        return found["runs"].norm.values.reshape(-1)

    # the others run a part of the cohort and are credited with it; in one go a part is kinder: its longest lane is shorter
    def part(run, count):
        def some():
            run(keys[:count])

        some.work = count / LANES
        return some

    ours()
    steps = found["runs"].steps.values.reshape(-1)
    shares = {
        f"batches of {w}": steps.mean() / np.mean([steps[i : i + w].max() for i in range(0, LANES, w)]) for w in (256, 1024)
    }
    say(part="useful share", jaxscale=found["runs"].attrs["useful_share"], width=str(found["runs"].attrs["width"]),
        one_go=float(steps.mean() / steps.max()), **{k: float(v) for k, v in shares.items()})  # fmt: skip
    mine = found["runs"].norm.values.reshape(-1)
    np.testing.assert_allclose(together(keys[:256])["norm"], mine[:256], rtol=1e-3, err_msg="not the same runs")
    race(
        "heavy tail, 20,000 lanes", {
            "jaxscale": ours,
            "jit(vmap(while_loop)), one go of 1,000": part(lambda k: np.asarray(together(k)["norm"]), 1_000),
            "jit(vmap(while_loop)), batches of 256": part(
                lambda k: [np.asarray(together(k[i : i + 256])["norm"]) for i in range(0, len(k), 256)], 1_024
            ),
            "jitted while_loop, a Python loop over seeds": part(lambda k: [float(one(key)["norm"]) for key in k], 500),
        }, 1.0, unit="cohorts/s", lanes=LANES,
    )  # fmt: skip


def sensing(rate, *, n=30, m=300, k=10):
    return Descent(SymmetricSensing(n=n, rank=2, k=k, alpha=0.3, operator=Gaussian(m=m)), learning_rate=rate)


def request(experiment, **arguments):
    return Request.make(experiment, **{"grid": {"rate": [0.1]}, "times": [0, 1000], "devices": DEVICES} | arguments)


def widths():
    """The measured width against fixed ones, in useful lane-steps a second."""
    for name, asked in (
        ("sensing", request(sensing, seeds=512)),
        ("heavy tail", request(tail, grid={"median": [MEDIAN]}, seeds=LANES)),
    ):
        program = program_of(asked, {})
        usual = usual_width(asked, program)
        rates = measure(asked, program, usual)
        chosen = pick(rates, usual, 512 if name == "sensing" else LANES, len(DEVICES), program.can_stop)
        widest = max(rates)  # past the optimum by measure's own stop; 512 is every lane of the sensing sweep
        fixed = {w: rates.get(w) or rate(asked, program, w) for w in (1, 2, 64, max(widest, 512))}
        say(part="width", model=name, rule_of_thumb=usual, measured=chosen, lane_steps_per_s=rates[chosen],
            measured_over={str(w): float(f"{rates[chosen] / r:.3g}") for w, r in fixed.items()},
            all={str(w): float(f"{r:.3g}") for w, r in sorted(rates.items())})  # fmt: skip


def sharing():
    """An operator a seed against one for 256 initialisations; share of this machine's own matrix products."""
    limit = machine_limits()["matmul_flops"]
    for n, m in ((30, 300), (60, 1200)):
        flops = 4 * m * n * (n + 1) // 2 + 4 * n * n * 10  # a triangle of the operator, read twice
        found = {}
        for name, seeds in (("own", 1024), ("shared", {"data": 4, "init": 256})):
            asked = request(lambda rate, n=n, m=m: sensing(rate, n=n, m=m), seeds=seeds)
            program = program_of(asked, {})
            found[name] = rate(asked, program, usual_width(asked, program))
        say(part="sharing", n=n, m=m, own=found["own"], shared=found["shared"], ratio=found["shared"] / found["own"],
            share_of_matmul=found["shared"] * flops / limit, matmul_gflops=limit / 1e9)  # fmt: skip


def lanes():
    """Time and memory against the number of lanes, moments kept on the way."""
    base = None
    for count in (100, 1_000, 10_000, 100_000, 400_000):
        runs = js.sweep(tail, grid={"median": [30.0]}, seeds=count, times=[0, 30, 600], reduce=True, **QUIET)
        seconds = runs.attrs["run_seconds"]  # compiling apart
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        base = base or peak
        say(
            part="lanes",
            lanes=count,
            seconds=seconds,
            microseconds_a_lane=1e6 * seconds / count,
            peak_MB=peak,
            over_first_MB=peak - base,
        )


def devices():
    """1, 2 and 4 devices on this machine's cores."""
    rates = {}
    for count in (1, 2, 4):
        asked = request(sensing, seeds=64, devices=jax.devices()[:count])
        rates[count] = rate(asked, program_of(asked, {}), 2)
    say(part="devices", cores=cores(), lane_steps_per_s={str(k): float(f"{v:.3g}") for k, v in rates.items()},
        over_one={str(k): float(f"{v / rates[1]:.3g}") for k, v in rates.items()})  # fmt: skip


@js.record
class Trivial:
    """One multiplication."""

    x: float

    def sample(self, key):
        return ()

    def init(self, key, data):
        return jnp.zeros(())

    def step(self, key, state, data):
        return self.x * self.x

    def observe(self, state, data):
        return {"y": state}


def trivial(x):
    return Trivial(x=x)


def cells():
    """Host time per cell of nearly nothing, against other sweepers."""
    for count in (1_000, 10_000, 100_000):
        values = np.arange(count, dtype=np.float32)
        arguments = dict(grid={"x": values}, times=[0, 1], **QUIET)
        js.sweep(trivial, **arguments)
        began = time.perf_counter()
        asked = Request.make(trivial, grid={"x": values}, times=[0, 1], devices=DEVICES)
        planned = time.perf_counter() - began
        began = time.perf_counter()
        found = js.sweep(trivial, **arguments)
        ours = time.perf_counter() - began
        assert np.array_equal(found.y.isel(time=1, seed=0).values, values * values)
        say(part="cells", cells=count, planning_s=planned, sweep_s=ours, microseconds_a_cell=1e6 * ours / count,
            buckets=len(asked.grid.buckets()), **_others(values[:1_600], count))  # fmt: skip


def _others(values, count):
    if count != 1_000:
        return {}
    found = {}
    try:
        import xyzpy

        began = time.perf_counter()
        xyzpy.Runner(lambda x: x * x, var_names=["y"]).run_combos({"x": values.tolist()}, verbosity=0)
        found["xyzpy_us_a_cell"] = 1e6 * (time.perf_counter() - began) / len(values)
    except ModuleNotFoundError:
        found["xyzpy_us_a_cell"] = "not installed"
    try:
        from jax_grid_search import DistributedGridSearch

        with tempfile.TemporaryDirectory() as folder:
            search = DistributedGridSearch(
                lambda x: {"value": x * x}, {"x": jnp.asarray(values)}, batch_size=64, progress_bar=False, result_dir=folder
            )
            began = time.perf_counter()
            search.run()
            found["jax_grid_search_us_a_cell"] = 1e6 * (time.perf_counter() - began) / len(values)
    except ModuleNotFoundError:
        found["jax_grid_search_us_a_cell"] = "not installed"
    return found


def resume():
    """A finished sweep, asked for again."""
    for count in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            arguments = dict(grid={"x": np.arange(count, dtype=np.float32)}, times=[0, 1], store=folder, **QUIET)
            js.sweep(trivial, **arguments)
            began = time.perf_counter()
            again = js.sweep(trivial, **arguments)
            seconds = time.perf_counter() - began
            assert again.attrs["runs_computed"] == 0
            pieces = len(list((Path(folder) / "pieces").glob("*.done")))
            say(part="resume", cells=count, seconds=seconds, microseconds_a_cell=1e6 * seconds / count, pieces=pieces)


def reduction():
    """What taking moments on the device costs, against keeping every seed."""
    arguments = dict(grid={"median": [30.0, 60.0]}, seeds=20_000, times=js.log_times(1_000), **QUIET)
    seconds = {}
    for name in (False, True, "quantiles", False, True, "quantiles"):
        began = time.perf_counter()
        js.sweep(tail, **arguments, reduce=name)
        seconds[str(name)] = time.perf_counter() - began
    say(part="reduce", every_seed_s=seconds["False"], moments_s=seconds["True"], quantiles_s=seconds["quantiles"])


PARTS = {"tail": heavy_tail, "width": widths, "sharing": sharing, "lanes": lanes, "devices": devices, "cells": cells,
         "resume": resume, "reduce": reduction}  # fmt: skip

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
