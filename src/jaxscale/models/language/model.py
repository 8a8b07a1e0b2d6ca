"""A network in a world: the energy that training descends. Also finite training sets, held-out loss, and interventions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, batch, check_shapes, numbered
from jaxscale.models.language.taps import Tap, Taps
from jaxscale.models.language.tensor_roles import check_alike
from jaxscale.models.networks import arguments, network
from jaxscale.protocol import fresh
from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    frozen: Any  # the world's
    train: jax.Array  # key of a finite training set's list of sequences
    test: Example  # (evaluation, T) held out


@record
class LanguageModel:
    """Cross-entropy of a network on a world's sequences: fresh ones every step, a finite set, or a whole table.

    Attributes:
      world: see `jaxscale.data.world`.
      network: a Linen module called as network(tokens, taps) -> (logits, sites), or a plain one, tokens -> logits. Static.
      batch: sequences a step; 0 takes the world's whole training table (`training`). Static.
      evaluation: held-out sequences behind every record. Static.
      points: size of a finite training set; None draws fresh sequences for ever. Traced.
      z_loss: coefficient of (log Z)^2.
      taps: {site: Tap}, or a record that gives it when called with the (B, T) tokens; their fields are traced, so that
        interventions are lanes.
      probes: functions (model, params, data, logits, sites) -> {name: scalar} recorded too. Static.

    References:
      Chowdhery et al. 2022, arXiv:2204.02311 (z-loss).
    """

    world: Any
    network: Any = static()
    batch: int = static(default=8)
    evaluation: int = static(default=64)
    points: float | None = None
    z_loss: float = 0.0
    taps: Mapping[str, Tap] | Callable[[jax.Array], Taps] | None = None
    probes: tuple = static(default=())

    units = {
        "loss": ("held-out cross-entropy", "nats per predicted token"),
        "error": ("share of held-out tokens whose likeliest guess is wrong", "1"),
        "max_score": ("largest attention logit in size on the held-out sequences", "1"),
        "log_z": ("mean log of the softmax's normaliser on the held-out sequences", "nats"),
        "excess": ("held-out cross-entropy less the world's entropy floor", "nats per predicted token"),
    }

    def check(self):
        """Raise unless world and network agree, and the sizes make sense."""
        if hasattr(self.network, "check"):
            self.network.check()
        for name in ("vocabulary", "context"):
            has, needs = getattr(self.network, name, None), getattr(self.world, name)
            if has is not None and has < needs:
                raise ValueError(
                    f"the network's {name} is {has} and the world's {needs}; build it with {name}={needs}, or larger."
                )
        if 0 < getattr(self.network, "outputs", 0) < self._answers():
            raise ValueError(
                f"the network has outputs={self.network.outputs} and the world {self._answers()} answers; build it with "
                f"outputs={self._answers()}, or 0 for all tokens."
            )
        if self.batch < 0 or self.evaluation < 1:
            raise ValueError(f"LanguageModel needs batch >= 0 and evaluation >= 1; got {self.batch} and {self.evaluation}.")
        if self.batch == 0 and not hasattr(self.world, "training"):
            raise ValueError(f"batch=0 takes a whole training table, and {type(self.world).__name__} has none; give a batch.")
        if self.points is not None and not self.points >= 1:
            raise ValueError(f"LanguageModel.points must be at least 1 sequence; got {self.points}.")

    def _pure(self):
        return network(self.network)

    def sample(self, key: jax.Array) -> Data:
        """Draw the world's disorder, the key of a training set, and held-out sequences. Consumes `key`."""
        key_world, key_train, key_test = jax.random.split(key, 3)
        frozen = self.world.sample(key_world)
        if hasattr(self.world, "held_out"):
            test = self.world.held_out(frozen)
        else:
            draw = getattr(self.world, "unseen", self.world.example)
            test = jax.vmap(lambda one: draw(one, frozen))(jax.random.split(key_test, self.evaluation))
        check_shapes(self.world, test)
        return Data(frozen, key_train, test)

    def init(self, key: jax.Array, data: Data) -> Any:
        """Draw the network's parameters. Consumes `key`."""
        return self._pure()[0](key, data.test.tokens[:1])

    def frozen(self, trunk: Any, key: jax.Array, data: Data) -> Any:
        """Return parameters that are trained no more: `trunk`, or untrained ones if it is None.

        Raises:
          ValueError: `trunk` is another network's.
        """
        own = self.init(key, data)
        if trunk is None:
            return own
        check_alike(trunk, own, f"trunk must be parameters of this {type(self.network).__name__}; give those of model.init.")
        return jax.tree.map(jnp.asarray, trunk)

    def apply(self, params: Any, tokens: jax.Array, taps: Taps | None = None) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return (logits, sites) on (B, T) tokens; `taps` are the model's unless others are given. A plain network has no
        sites.
        """
        chosen = self.taps if taps is None else taps
        chosen = chosen(tokens) if callable(chosen) else chosen
        if chosen is not None and "taps" not in (takes := arguments(self.network)):
            raise ValueError(
                f"taps need a network that is called as network(tokens, taps) and gives (logits, sites); this one takes "
                f"{takes}. See jaxscale.models.language.taps.Sites."
            )
        out = self._pure()[1](params, tokens, *(() if chosen is None else (chosen,)))
        logits, sites = out if isinstance(out, tuple) else (out, {})
        wanted = self._answers()
        if logits.ndim != 3 or logits.shape[-1] < wanted:
            raise ValueError(
                f"the network gives logits of shape {logits.shape}, and {type(self.world).__name__} needs (batch, places, at "
                f"least {wanted}), one for each possible answer; give the network's last layer {wanted} outputs."
            )
        return logits, sites

    def _answers(self):
        """How many answers the world has: fewer than tokens where it asks for a class."""
        return getattr(self.world, "answers", self.world.vocabulary)

    def examples(self, data: Data, key: jax.Array) -> Example:
        """Return the sequences of one step: the whole table, fresh draws, or draws from the finite training set."""
        if self.batch == 0:
            return self.world.training(data.frozen)
        if self.points is None:
            return batch(self.world, key, data.frozen, self.batch)
        index = jnp.floor(jax.random.uniform(key, (self.batch,)) * self.points).astype(jnp.int32)
        return numbered(self.world, data.train, data.frozen, index)

    def loss(self, params: Any, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the mean cross-entropy of one step's sequences, plus the z-loss."""
        seen = self.examples(data, fresh(self, key))
        logits, _ = self.apply(params, seen.tokens)
        seen = answers(seen, logits)
        return cross_entropy(logits, seen) + self.z_loss * _weighted(jax.nn.logsumexp(logits, axis=-1) ** 2, seen.weight)

    def activations(self, params: Any, data: Data) -> dict[str, jax.Array]:
        """Return {site: activation} on the held-out sequences."""
        return self.apply(params, data.test.tokens)[1]

    def observe(self, params: Any, data: Data) -> dict[str, jax.Array]:
        """Return held-out loss and error, log Z, the largest attention logit, excess over the floor, and the probes."""
        return self.observables(params, data, *self.apply(params, data.test.tokens))

    def observables(self, params: Any, data: Data, logits: jax.Array, sites: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Return what `observe` does, of (B, T, V) logits and sites on the held-out sequences that are known already."""
        test = answers(data.test, logits)
        loss = cross_entropy(logits, test)
        wrong = (jnp.argmax(logits, axis=-1) != test.targets).astype(jnp.float32)
        observables = {
            "loss": loss,
            "error": _weighted(wrong, test.weight),
            "log_z": _weighted(jax.nn.logsumexp(logits, axis=-1), test.weight),
        }
        scores = [value for name, value in sites.items() if name.endswith("/scores")]
        if scores:
            observables["max_score"] = jnp.max(jnp.stack([jnp.max(jnp.abs(jnp.tril(s))) for s in scores]))
        if hasattr(self.world, "entropy_floor"):
            observables["excess"] = loss - self.world.entropy_floor(data.frozen)
        for probe in self.probes:
            observables |= probe(self, params, data, logits, sites)
        return observables


def answers(seen: Example, logits: jax.Array) -> Example:
    """Return the targets where the network answers: everywhere, or at the last place if it gives one answer a sequence."""
    return seen if logits.shape[1] > 1 else seen._replace(targets=seen.targets[:, -1:], weight=seen.weight[:, -1:])


def cross_entropy(logits: jax.Array, seen: Example) -> jax.Array:
    """Return the weighted mean over places of -log p(target), nats."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    return -_weighted(jnp.take_along_axis(log_p, seen.targets[..., None], axis=-1)[..., 0], seen.weight)


def _weighted(values, weight):
    return jnp.sum(values * weight) / jnp.sum(weight)


def TINY() -> LanguageModel:
    """Return the instance that the contract tests check."""
    from jaxscale.data.relabel import Relabelling
    from jaxscale.models.language.attention import Attention
    from jaxscale.models.language.decoder import Decoder

    return LanguageModel(
        world=Relabelling(classes=4, labels=2),
        network=Decoder(vocabulary=6, context=5, mixer=Attention(heads=2), width=8, depth=1, hidden=2),
        batch=2, evaluation=4,
    )  # fmt: skip
