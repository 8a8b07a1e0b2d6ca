"""Training against numpy: what `Watched` and `Tracked` record, shrunk gradients under Adam, a readout's step under muP."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import close_to_the_largest

from jaxscale.data.modular import ModularAddition
from jaxscale.dynamics.descent import Descent, State
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.rules.lion import Lion
from jaxscale.dynamics.rules.momentum import Momentum
from jaxscale.dynamics.tracked import Tracked
from jaxscale.dynamics.watched import Watched
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.s4d import S4D
from jaxscale.models.language.taps import Tap
from jaxscale.models.language.tensor_roles import adam_rates
from jaxscale.records import check, replace

KEY = jax.random.key(0)


def additive(**more):
    """A language model that learns from its whole training table, so that no step draws anything."""
    sizes = dict(vocabulary=5, context=2, mixer=Attention(heads=2), width=8, depth=1, hidden=2)
    return LanguageModel(world=ModularAddition(p=5), network=Decoder(**(sizes | more)), batch=0, evaluation=1)


def path_of(system, steps, start=None):
    """Data, and the states 0 .. steps of a plain loop."""
    data = jax.jit(system.sample)(jax.random.key(1))
    states = [jax.jit(system.init)(jax.random.key(2), data)] if start is None else [start]
    step = jax.jit(system.step)
    for t in range(steps):
        states.append(step(jax.random.key(t), states[-1], data))
    return data, states


def test_gradients_and_updates_by_role_in_numpy():
    """Root mean squares over all entries of embeddings and positions, of the readout, of the norms, of all else."""
    model = additive(learned_positions=True)
    system = Watched(system=Descent(model=model, learning_rate=0.01, rule=AdamW()), sharpness=False)
    data, states = path_of(system, 3)
    found = jax.jit(system.observe)(states[-1], data)
    before, params = (state.inner.params for state in states[-2:])
    gradient = jax.jit(jax.grad(model.loss))(params, data, KEY)
    update = jax.tree.map(jnp.subtract, params, before)
    known = {"embed": "input", "positions": "input", "readout": "readout"}

    def role(path):
        return known.get(path[0].key, "vector" if "norm" in path[0].key else "hidden")

    for kind, tree in (("gradient", gradient), ("update", update)):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        for name in ("input", "readout", "vector", "hidden"):
            entries = np.concatenate([np.ravel(leaf) for path, leaf in leaves if role(path) == name]).astype(np.float64)
            assert float(found[f"{kind}_{name}"]) == pytest.approx(np.sqrt(np.mean(entries**2)), rel=1e-3)
    assert {name for name in found if name.startswith(("gradient_", "update_"))} == {
        f"{kind}_{name}" for kind in ("gradient", "update") for name in ("input", "readout", "vector", "hidden")
    }


def test_distance_from_the_start_in_numpy():
    """Euclidean distance of all parameters together from the first ones of a plain loop, and every site's movement."""
    model = additive()
    plain = Descent(model=model, learning_rate=0.02, rule=AdamW())
    data, states = path_of(plain, 4)
    _, tracked = path_of(Tracked(system=plain), 4)
    look, inside = jax.jit(Tracked(system=plain).observe), jax.jit(model.activations)
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(s.params)]).astype(np.float64) for s in states]
    then = inside(states[0].params, data)
    for t in (0, 1, 4):
        found, now = look(tracked[t], data), inside(states[t].params, data)
        distance = np.linalg.norm(flat[t] - flat[0])
        assert float(found["distance"]) == pytest.approx(distance, rel=1e-4, abs=1e-7)
        assert float(found["relative_distance"]) == pytest.approx(distance / np.linalg.norm(flat[0]), rel=1e-4, abs=1e-7)
        for name in ("embed", "layer0/pattern", "final", "logits"):
            moved = np.sqrt(np.mean((np.asarray(now[name]) - np.asarray(then[name])) ** 2))
            assert float(found[f"moved_{name}"]) == pytest.approx(moved, rel=1e-3, abs=1e-7)
    assert {f"moved_{name}" for name in then} <= set(found)


def shrunk(model, factor):
    return replace(model, taps={"embed": Tap(gradient=factor)})


def moves(rule, factors, rates, epsilons, steps):
    """How far {embedding, readout} go in each lane, (lanes, ...), with the embedding's gradient times the lane's factor."""
    model = additive()
    data = jax.jit(model.sample)(jax.random.key(1))
    params = jax.jit(model.init)(jax.random.key(2), data)

    @jax.jit
    @jax.vmap
    def run(factor, rate, epsilon):
        own = replace(rule, epsilon=epsilon) if isinstance(rule, AdamW) else rule
        system = Descent(model=shrunk(model, factor), learning_rate=rate, rule=own)
        start = State(params, system.optimizer().init(params))
        end = jax.lax.fori_loop(0, steps, lambda t, state: system.step(KEY, state, data), start).params
        return end["embed"] - params["embed"], end["readout"]["kernel"] - params["readout"]["kernel"]

    return [np.asarray(part) for part in run(*(jnp.asarray(part) for part in (factors, rates, epsilons)))]


def test_adam_does_not_see_the_shrink_of_embedding_gradients():
    """Adam without clipping is blind to a constant factor, unless epsilon is large; and descent takes a tenth of the step."""
    lanes = [1.0, 0.1, 1.0, 0.1], [0.01, 0.01, 10.0, 10.0], [1e-20, 1e-20, 1e3, 1e3]
    for part in moves(AdamW(), *lanes, steps=5):
        close_to_the_largest(part[1], part[0], 1e-3)
    one = moves(AdamW(), *lanes, steps=1), moves(Momentum(beta=0.0), [1.0, 0.1], [1.0, 1.0], [0.0, 0.0], steps=1)
    for embed, readout in one:
        assert np.max(np.abs(embed[-2])) > 1e-4
        close_to_the_largest(embed[-1], 0.1 * embed[-2], 1e-2)
        close_to_the_largest(readout[-1], readout[-2], 1e-5)


def test_the_shrink_leaves_a_tied_readouts_gradient():
    """Loss and all other gradients are what they were; a tied embedding's gradient is (as readout) + factor (as input)."""
    model = additive(tied=True)
    data = jax.jit(model.sample)(jax.random.key(1))
    params = jax.jit(model.init)(jax.random.key(2), data)
    slope = jax.jit(lambda factor: jax.value_and_grad(shrunk(model, factor).loss)(params, data, KEY))
    (value, none), (other, some), (last, whole) = (slope(factor) for factor in (0.0, 0.3, 1.0))
    assert value == other == last
    np.testing.assert_allclose(some["embed"], none["embed"] + 0.3 * (whole["embed"] - none["embed"]), rtol=1e-4, atol=1e-7)
    assert np.max(np.abs(none["embed"])) > 1e-3 and np.max(np.abs(whole["embed"] - none["embed"])) > 1e-3
    for tree in (none, some, whole):
        tree.pop("embed")
    jax.tree.map(lambda a, b, c: (np.testing.assert_array_equal(a, c), np.testing.assert_array_equal(b, c)), none, some, whole)


def readout_step(width, mup):
    """Logits before and after a step of Adam of a decoder without blocks, its final site, the table that it learns from."""
    model = additive(mixer=Attention(heads=2, mup=mup), width=width, depth=0, mup=mup, base=8)
    system = Descent(model=model, learning_rate=0.01, rule=AdamW(epsilon=1e-20), mup=8 if mup else 0)
    data, (before, after) = path_of(system, 1)
    table = model.world.training(data.frozen)
    (old, sites), (new, _) = (jax.jit(model.apply)(s.params, table.tokens) for s in (before, after))
    return np.asarray(old), np.asarray(new), np.asarray(sites["final"], np.float64), jax.tree.map(np.asarray, table)


def test_a_readout_under_mup_is_table_8s():
    """Weights 0, output x base / D, Adam's rate eta: one step from 0 makes the logits -eta (base / D) x sign(gradient)."""
    for width in (8, 32):
        old, new, x, table = readout_step(width, True)
        assert np.all(old == 0)
        wrong = 1 / 5 - np.eye(5)[table.targets]
        gradient = np.einsum("nt,ntd,ntv->dv", table.weight, x, wrong)
        assert np.min(np.abs(gradient)) > 1e-5  # every sign is known
        np.testing.assert_allclose(new, -0.01 * 8 / width * x @ np.sign(gradient), rtol=1e-4, atol=1e-6)


def test_a_readout_moves_by_as_much_at_any_width_under_mup_alone():
    """The first step of Adam moves logits by D^0 in muP, and by D^1 in the standard parametrisation."""
    widths = np.array([64, 512])
    size = {
        mup: [np.sqrt(np.mean((new - old) ** 2)) for old, new, *_ in (readout_step(width, mup) for width in widths.tolist())]
        for mup in (True, False)
    }
    growth = {mup: np.log(b / a) / np.log(8) for mup, (a, b) in size.items()}
    assert abs(growth[True]) < 0.1 and growth[False] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    "trained, message",
    [
        (lambda: Descent(model=additive(mup=True, mixer=Attention(heads=2, mup=True), base=8), learning_rate=0.1, rule=AdamW()),
         r"Decoder\(mup=True, base=8\) use Descent\(mup=8\); got 0"),
        (lambda: Descent(model=additive(), learning_rate=0.1, rule=AdamW(), mup=8), r"use Descent\(mup=0\); got 8"),
        (lambda: Descent(model=additive(mup=True), learning_rate=0.1, mup=32), "mup=True and its Attention mup=False"),
    ],
)  # fmt: skip
def test_half_a_mup_is_refused(trained, message):
    with pytest.raises(ValueError, match=message):
        check(trained())


def test_mup_of_layers_without_names_is_refused():
    """Else a table of embeddings and a head would get the rates of hidden layers."""
    params = {"Embed_0": {"embedding": jnp.ones((6, 8))}, "Dense_0": {"kernel": jnp.ones((8, 6))}}
    with pytest.raises(ValueError, match=r"'embed...' and 'readout...'; this one has .*Dense_0"):
        adam_rates(params, 8)
    named = {"embed": jnp.ones((6, 8)), "hidden": jnp.ones((8, 8))}
    assert adam_rates(named, 16, tied=True) == {"embed": 1.0, "hidden": 2.0}
    with pytest.raises(ValueError, match="readout"):
        adam_rates(named, 16)


def test_poles_move_slowly_and_do_not_decay():
    """At a rate of .1 a pole moves .001 in Adam's first step, other leaves .1; with decay alone only matrices shrink."""
    network = Decoder(vocabulary=5, context=2, mixer=S4D(modes=2), width=4, depth=1, hidden=0)
    params = jax.tree.map(jnp.ones_like, jax.eval_shape(network.init, KEY, jnp.zeros((1, 2), int))["params"])
    model = LanguageModel(world=ModularAddition(p=5), network=network, batch=0, evaluation=1)

    def moved(grads, **rule):
        optimizer = Descent(model=model, learning_rate=0.1, rule=AdamW(epsilon=1e-20, **rule)).optimizer()
        return optimizer.update(grads, optimizer.init(params), params)[0]

    step, decay = moved(params), moved(jax.tree.map(jnp.zeros_like, params), decay=0.5)
    for name, rate in {"log_step": 0.001, "log_decay": 0.001, "frequency": 0.001, "readout_modes": 0.1, "skip": 0.1}.items():
        np.testing.assert_allclose(step["layer0_mixer"][name], -rate, rtol=1e-5)
        assert np.all(decay["layer0_mixer"][name] == 0)
    np.testing.assert_allclose(step["embed"], -0.1, rtol=1e-5)
    np.testing.assert_allclose(decay["embed"], -0.05, rtol=1e-5)
    for rule in (Lion(decay=0.5), Momentum(decay=0.5)):
        optimizer = rule.optimizer(lambda t: 0.1)
        still = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)[0]
        assert all(np.all(still["layer0_mixer"][name] == 0) for name in ("log_step", "log_decay", "frequency"))
        np.testing.assert_allclose(still["embed"], -0.05, rtol=1e-5)
