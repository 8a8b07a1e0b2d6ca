"""Text from trained networks, and parameters out and back in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, OK
from jaxscale.data.markov import Markov
from jaxscale.data.noise import NoisyLabels
from jaxscale.data.text import CharacterText
from jaxscale.data.words import WordText
from jaxscale.dynamics import descent
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.tracked import Tracked
from jaxscale.dynamics.transferred import Transferred
from jaxscale.dynamics.until import Until, below
from jaxscale.dynamics.watched import Watched
from jaxscale.engine.audit.final import final_state
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.generation import generate, load_params, save_params, trained_model
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.tuned import Lora, Tuned


def text_run(learning_rate):
    world = CharacterText(context=8, alphabet=32)
    network = Decoder(vocabulary=32, context=8, mixer=Attention(heads=2), width=8, depth=1, hidden=2)
    model = LanguageModel(world=world, network=network, batch=4, evaluation=4)
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def test_what_is_generated_follows_the_chain(tmp_path):
    """A network that knows its chain by heart: the logits of a bigram table."""
    world = Markov(vocabulary=4, context=5)
    model = LanguageModel(world=world, network=lambda rngs: Table(rngs), batch=4, evaluation=4)
    rows = jnp.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    params = {"table": {"embedding": 50 * rows}}
    tokens = generate(model, params, jax.random.key(0), jnp.array([2]), 30)
    np.testing.assert_array_equal(tokens, (2 + np.arange(31)) % 4)
    even = generate(model, {"table": {"embedding": 0 * rows}}, jax.random.key(0), jnp.array([0]), 200)
    assert len(np.unique(even)) == 4
    with pytest.raises(ValueError, match=r"at least one token of 0..3; got \[4\]"):
        generate(model, params, jax.random.key(0), jnp.array([4]), 3)


def Table(rngs):
    from flax import nnx

    class Bigram(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(4, 4, rngs=rngs)

        def __call__(self, tokens):
            return self.table(tokens)

    return Bigram(rngs)


def test_the_state_of_a_cell_and_its_text(tmp_path, capsys):
    store = tmp_path / "store"
    grid = {"learning_rate": [0.01, 0.02]}
    runs = js.sweep(text_run, grid=grid, seeds=2, times=[0, 6], width=2, store=store, progress=False)
    cell = {"learning_rate": 0.02, "seed": 1}
    system, data, state = final_state(text_run, store, cell)
    found = system.observe(state, data)
    assert float(found["loss"]) == pytest.approx(float(runs["loss"].sel(cell).isel(time=-1)), rel=1e-4)
    common = ["sample", str(store), "--experiment", f"{__name__}:text_run", "--length", "40"]
    where, whole = tmp_path / "params", tmp_path / "state"
    cell_text = "learning_rate=0.02,seed=1"
    assert main([*common, "--cell", cell_text, "--export", str(where), "--export-state", str(whole)]) == OK
    said, aside = capsys.readouterr()
    assert "the prompt was read as '\ufffdhe '" in aside
    assert said[1:4] == "he " and "parameters: " in said  # T is none of the 32 commonest characters
    again = load_params(where, state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), again, state.params)
    found = load_params(whole, jax.eval_shape(lambda: system.init(jax.random.key(0), data)))
    assert jax.tree.structure(found) == jax.tree.structure(state) and len(jax.tree.leaves(found.memory)) > len(
        jax.tree.leaves(again)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, state)
    logits, _ = system.model.network.apply({"params": again}, data.test.tokens)
    np.testing.assert_allclose(logits, system.model.apply(state.params, data.test.tokens)[0], rtol=1e-3, atol=1e-4)
    for like in ({"a": jnp.ones(3)}, jax.tree.map(lambda leaf: leaf[..., None], state.params)):
        with pytest.raises(ValueError, match=r"holds another tree than `like`; .* They differ in \[.*'embed'"):
            load_params(where, like)
    with pytest.raises(ValueError, match="there is no checkpoint '.*nowhere'; give the folder"):
        load_params(tmp_path / "nowhere", state.params)
    with pytest.raises(ValueError, match="exists; give a folder that does not"):
        save_params(where, again)
    for bad, message in (
        (["--temperature", "-1"], "0 or more, and finite; got 40 and -1.0"), (["--temperature", "nan"], "got 40 and nan"),
        (["--length", "-5"], "got -5 and 0.8"), (["--export", str(where)], "exists; give --export and"),
    ):  # fmt: skip
        assert main([*common, "--cell", cell_text, *bad]) == BAD_INPUT
        assert message in capsys.readouterr().err
    assert main([*common, "--cell", "learning_rate=0.5,seed=1"]) == BAD_INPUT
    assert "must be one of" in capsys.readouterr().err
    assert main(["sample", str(store), "--cell", "seed=1"]) == BAD_INPUT
    assert "--experiment MODULE:NAME" in capsys.readouterr().err


def markov_run(learning_rate):
    network = Decoder(vocabulary=4, context=5, mixer=Attention(heads=1), width=4, depth=1, hidden=0)
    model = LanguageModel(world=Markov(vocabulary=4, context=5), network=network, batch=2, evaluation=2)
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def test_a_world_without_text_is_prompted_by_tokens(tmp_path, capsys):
    js.sweep(markov_run, grid={"learning_rate": [0.01]}, times=[1], store=tmp_path, progress=False)
    common = ["sample", str(tmp_path), "--experiment", f"{__name__}:markov_run", "--cell", "learning_rate=0.01,seed=0"]
    assert main([*common, "--length", "3", "--prompt", "3,1 2"]) == OK
    said = capsys.readouterr().out.split()
    assert said[:3] == ["3", "1", "2"] and len(said) == 6
    for prompt, message in (
        ("the end", "Markov has no text, so --prompt must be tokens"),
        ("3 7", r"at least one token of 0..3"),
    ):
        assert main([*common, "--prompt", prompt]) == BAD_INPUT
        assert message in capsys.readouterr().err


def test_the_model_inside_wrappers_and_adapters():
    system = text_run(0.01)
    own = Tuned(model=system.model, method=Lora(rank=2))
    for wrapped, merged in (
        (Watched(system=system, sharpness=False), False), (Tracked(system=Transferred(system=system, source=system)), False),
        (Tracked(system=Descent(model=own, learning_rate=0.01, rule=AdamW())), True),
        (Until(Tracked(system=system), when=below("loss", 0.0)), False),
    ):  # fmt: skip
        data = jax.jit(wrapped.sample)(jax.random.key(0))
        state = jax.jit(wrapped.init)(jax.random.key(1), data)
        model, params = trained_model(wrapped, data, state)
        assert model.world == system.model.world or isinstance(model.world, CharacterText)
        inner = state.inner
        while hasattr(inner, "inner"):
            inner = inner.inner
        wanted = data.trunk if merged else inner.params
        assert jax.tree.structure(params) == jax.tree.structure(wanted)
        jax.tree.map(np.testing.assert_array_equal, params, wanted)  # LoRA adds nothing at the start
    with pytest.raises(ValueError, match="are of TeacherStudent, no language model"):
        student = descent.TINY()[1]
        trained_model(student, None, student.init(jax.random.key(0), jax.jit(student.sample)(jax.random.key(0))))


def test_text_worlds_spell_what_they_read():
    words, characters = WordText(words=400), CharacterText(alphabet=64)
    assert words.spell(words.read("If the object is a zebrafinch,")) == "if the object is a <rare> ,"
    assert characters.spell(characters.read("the end.")) == "the end."
    noisy = NoisyLabels(world=characters)
    assert noisy.spell(noisy.read("the end.")) == "the end."


def test_only_tokens_of_the_world_are_drawn():
    """From a network with more outputs than the world has tokens."""
    model = LanguageModel(world=Markov(vocabulary=4, context=5), network=Decoder(
        vocabulary=9, context=5, mixer=Attention(heads=1), width=4, depth=1, hidden=0), batch=2, evaluation=2)  # fmt: skip
    params = jax.jit(lambda key: model.init(key, model.sample(key)))(jax.random.key(0))
    tokens = generate(model, params, jax.random.key(1), jnp.array([0]), 200, temperature=9.0)
    assert set(tokens.tolist()) == {0, 1, 2, 3}
