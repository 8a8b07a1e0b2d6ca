"""A soft prompt: vectors in front of a frozen language model's input that are trained in place of its weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.models.language.model import LanguageModel, cross_entropy
from jaxscale.models.language.taps import Tap
from jaxscale.protocol import fresh
from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    trunk: Any  # the frozen parameters
    own: Any  # the language model's


@record
class Prompted:
    """Cross-entropy of a frozen language model on its world's sequences, as a function of the prompt before them.

    The prompt takes the places of `length` tokens by a tap on the site "embed", so that any network with that site will do.

    Attributes:
      model: the language model; its network's context has room for the prompt and the world's sequences.
      trunk: its parameters; None draws untrained ones with the disorder.
      length: l, vectors in the prompt. Static.
      spread: standard deviation of a prompt at the start.

    References:
      Lester, Al-Rfou & Constant 2021, The power of scale for parameter-efficient prompt tuning, arXiv:2104.08691, section 2.
    """

    model: LanguageModel
    trunk: Any = None
    length: int = static(default=8)
    spread: float = 0.1

    units = LanguageModel.units

    def check(self):
        """Raise unless there is a prompt, the model is plain, and the network has room for both prompt and sequences."""
        context = getattr(self.model.network, "context", None)
        needs = self.model.world.context + self.length
        if self.model.taps is not None or self.model.probes or self.model.z_loss:
            raise ValueError(
                "Prompted takes a LanguageModel without taps, probes and z_loss: the prompt is a tap, and alone is trained; "
                f"got taps={self.model.taps!r}, {len(self.model.probes)} probes, z_loss={self.model.z_loss}."
            )
        if self.length < 1 or not self.spread >= 0:
            raise ValueError(f"Prompted.length must be at least 1 and spread >= 0; got {self.length} and {self.spread}.")
        if context is not None and context < needs:
            raise ValueError(
                f"a prompt of {self.length} before sequences of {self.model.world.context} needs a network of context {needs}; "
                f"got {context}. Train one that is as long."
            )

    def sample(self, key: jax.Array) -> Data:
        """Draw the language model's disorder, and its parameters unless they are given. Consumes `key`."""
        data = self.model.sample(key)
        return Data(self.model.frozen(self.trunk, jax.random.fold_in(key, 0), data), data)

    def init(self, key: jax.Array, data: Data) -> jax.Array:
        """Draw the prompt, (l, D). Consumes `key`."""
        sites = jax.eval_shape(lambda: self.model.apply(data.trunk, data.own.test.tokens)[1])
        if "embed" not in sites:
            raise ValueError(f"a prompt needs a network with the site 'embed'; this one has {sorted(sites)}.")
        return self.spread * jax.random.normal(key, (self.length, sites["embed"].shape[-1]))

    def apply(self, prompt: jax.Array, data: Data, tokens: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return ((B, T, V) logits on (B, T) tokens, sites with the prompt's places in front)."""
        placed = jnp.pad(tokens, ((0, 0), (self.length, 0)))
        mask = (jnp.arange(placed.shape[1]) < self.length)[:, None]
        value = jnp.pad(prompt, ((0, tokens.shape[1]), (0, 0)))
        logits, sites = self.model.apply(data.trunk, placed, {"embed": Tap(mask=mask, value=value)})
        return logits[:, self.length :], sites

    def loss(self, prompt: jax.Array, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the mean cross-entropy of one step's sequences behind the prompt."""
        seen = self.model.examples(data.own, fresh(self, key))
        return cross_entropy(self.apply(prompt, data, seen.tokens)[0], seen)

    def observe(self, prompt: jax.Array, data: Data) -> dict[str, jax.Array]:
        """Return what the language model observes on its held-out sequences, behind the prompt."""
        logits, sites = self.apply(prompt, data, data.own.test.tokens)
        return self.model.observables(prompt, data.own, logits, sites)


def TINY() -> Prompted:
    """Return the instance that the contract tests check."""
    from jaxscale.data.relabel import Relabelling
    from jaxscale.models.language.attention import Attention
    from jaxscale.models.language.decoder import Decoder

    return Prompted(
        model=LanguageModel(
            world=Relabelling(classes=4, labels=2),
            network=Decoder(vocabulary=6, context=7, mixer=Attention(heads=1), width=4, depth=1, hidden=0),
            batch=2, evaluation=4,
        ),
        length=2,
    )  # fmt: skip
