"""One start and one step program per bucket, whatever the number of lanes; and the plan that says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.run import executables
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import RetraceWarning

TRACED = []


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Walk:
    rate: jax.Array
    d: int = js.static(default=2)

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return uniform(key) * jnp.arange(1.0, self.d + 1.0)

    def step(self, key, state, data):
        TRACED.append(1)
        return state + self.rate * (data - state)

    def observe(self, state, data):
        return {"first": state[0]}


class Renamed(Walk):
    def observe(self, state, data):
        return {"height": state[0]}


jax.tree_util.register_pytree_node(Renamed, lambda s: ((s.rate,), s.d), lambda d, c: Renamed(rate=c[0], d=d))


def walk(rate, d=2):
    return Walk(rate=rate, d=d)


COMMON = dict(times=[0, 3], width=2, devices=jax.devices()[:1])


def run(experiment=walk, **changes):
    return js.sweep(experiment, **({"grid": {"rate": [0.1]}, "progress": False} | COMMON | changes))


@pytest.fixture
def compiled(monkeypatch):
    """Names of the programs compiled from here on, nothing being there yet."""
    names, build = [], Executable.compile_program

    def counted(self, function, *arguments, **options):
        names.append(function.__name__.strip("_"))
        return build(self, function, *arguments, **options)

    monkeypatch.setattr(Executable, "compile_program", counted)
    with executables.set_aside():
        yield names


@pytest.mark.parametrize("cells, seeds, memory", [(1, 1, None), (50, 1, None), (1, 60, None), (50, 3, 1)])
def test_two_programs_per_bucket(compiled, cells, seeds, memory):
    run(grid={"rate": np.linspace(0.1, 0.2, cells)}, seeds=seeds, memory=memory)
    assert compiled == ["start", "advance"]


def test_two_programs_per_static_point(compiled):
    arguments = dict(grid={"rate": [0.1, 0.2]}, static={"d": [2, 3]}, seeds=3)
    run(**arguments)
    assert len(compiled) == 4 == js.plan(walk, **arguments, **COMMON).compiles
    assert len(compiled) == 4  # the plan found them compiled


def test_other_values_compile_nothing(compiled):
    run(grid={"rate": [0.1, 0.2]})
    run(grid={"rate": [0.3, 0.4]})
    assert len(compiled) == 2


def test_traces_do_not_grow_with_the_grid(compiled):
    counts = []
    for cells in (1, 50):
        TRACED.clear()
        executables.forget()
        run(grid={"rate": np.linspace(0.1, 0.2, cells)})
        counts.append(len(TRACED))
    assert counts[0] == counts[1] > 0


def test_the_experiment_is_traced_the_same_for_every_grid():
    traced = []

    def counting(rate):
        if isinstance(rate, jax.core.Tracer):
            traced.append(1)
        return walk(rate)

    run(counting, grid={"rate": [0.1]})
    once = len(traced)
    run(counting, grid={"rate": [0.1, 0.2, 0.3, 0.4, 0.5]})
    assert 0 < len(traced) - once <= once


def test_plan_adds_up():
    arguments = dict(grid={"rate": [0.1, 0.2, 0.3]}, static={"d": [2, 3]}, seeds=7)
    planned = js.plan(walk, **arguments, **COMMON)
    assert planned.lanes == sum(bucket.lanes for bucket in planned.buckets) == 2 * 3 * 7
    assert [bucket.static for bucket in planned.buckets] == [{"d": 2}, {"d": 3}]
    assert [bucket.lane_bytes for bucket in planned.buckets] == [4 + 2 * 4, 4 + 3 * 4]  # data, state
    assert all(bucket.width == 2 and bucket.lanes_at_once == 21 and bucket.seconds > 0 for bucket in planned.buckets)
    text = str(planned)
    for part in ("42 runs", "2 bucket(s)", "4 compiles", "{'d': 2}: 21 runs", "12 B a run", "16 B a run", "1 x"):
        assert part in text, text


def test_plan_counts_crossed_seeds():
    assert js.plan(walk, grid={"rate": [0.1]}, seeds={"data": 2, "init": 3}, **COMMON).lanes == 6


def test_renamed_observable(compiled):
    run()
    assert "height" in run(lambda rate: Renamed(rate=rate))


def test_renamed_axis(compiled):
    first = run()
    again = run(lambda speed: walk(speed), grid={"speed": [0.1]})
    assert again["first"].shape == first["first"].shape


def test_captured_by_an_inner_jit(compiled):
    def captured(table):
        double = jax.jit(lambda x: x * table)

        @js.record
        class Captured(Walk):
            rate: jax.Array

            def step(self, key, state, data):
                return double(state)

        return lambda rate: Captured(rate=rate)

    one, two = (run(captured(jnp.array(table, jnp.float32))) for table in ([1, 2], [3, 4]))
    assert not np.array_equal(one["first"], two["first"])


def test_a_captured_value_that_changes_is_named(compiled):
    def capturing(gain):
        return lambda rate: Walk(rate=rate * gain)

    run(capturing(1.0))
    run(capturing(2.0))  # twice may be meant
    with pytest.warns(RetraceWarning, match=r"now has 3 programs .* captures or reads differs"):
        run(capturing(3.0))
    assert len(compiled) == 6


def test_other_experiments_are_no_reason_to_warn(compiled):
    def wrapping(inner):
        return lambda rate: inner(rate)

    run(lambda rate: walk(2 * rate))
    run(lambda rate: walk(3 * rate))
    run(lambda rate: walk(4 * rate))
    for other in (lambda rate: walk(5 * rate), lambda rate: walk(6 * rate + 1), lambda rate: walk(rate, 3)):
        run(wrapping(other))  # one code, and three experiments that it captures
    assert len(compiled) == 12


def test_other_widths_and_seeds_are_no_reason_to_warn(compiled):
    for width in (2, 4, 8, 16):
        run(width=width, seeds=width)
    assert len(compiled) == 8  # and warnings are errors here
