"""A soft prompt for one task with the help of another task's: from its end point, or with it as a teacher."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.descent import State as DescentState
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language import prompt as prompts
from jaxscale.models.language.adapt import distilled
from jaxscale.models.language.prompt import Prompted
from jaxscale.protocol import advance, definitions
from jaxscale.records import record, static


class State(NamedTuple):
    """The target's prompt with its optimiser, and what the source taught."""

    prompt: jax.Array  # (l, D)
    memory: Any  # the rule's
    teacher: jax.Array  # (l, D), the source's prompt
    similarity: jax.Array  # of the two tasks, by their prompts


@record
class PromptTransfer:
    """Train a prompt on the target's loss plus strength * similarity * KL(source's prompt || target's prompt), on the target's
    data (PANDA).

    At the start both tasks train a prompt from the same vectors for `before` steps: the source's is the teacher, and the cosine
    of the two is the predicted transferability, cut at 0. Then the target's prompt begins, afresh or from the teacher.

    Attributes:
      target: the task that is learned and observed.
      source: the task that may help; of the same length. It is learned on the target's trunk.
      learning_rate: of every prompt.
      inherit: 1 begins from the source's prompt (vanilla transfer), 0 afresh.
      strength: of the distillation; 0 for none.
      rule: see `jaxscale.dynamics.rules`.
      before: steps of both prompts before. Static.

    References:
      Zhong et al. 2022, PANDA: prompt transfer meets knowledge distillation, arXiv:2208.10160; Vu et al. 2022, SPoT,
      arXiv:2110.07904 (vanilla transfer, similarity of prompts).
    """

    target: Prompted
    source: Prompted
    learning_rate: float
    inherit: float = 0.0
    strength: float = 0.0
    rule: Any = AdamW()
    before: int = static(default=100)

    @property
    def units(self) -> dict[str, tuple[str, str]]:
        """Return {observable: (meaning, unit)} of the target and of the similarity."""
        return definitions(self.target) | {"similarity": ("cosine of the two tasks' prompts, trained from the same start", "1")}

    def check(self):
        """Raise unless the prompts have one length, the rate is positive and both train for a step at least."""
        if self.target.length != self.source.length:
            raise ValueError(
                f"PromptTransfer needs prompts of one length; got target {self.target.length} and source {self.source.length}."
            )
        if not self.learning_rate > 0 or self.before < 1:
            raise ValueError(
                f"PromptTransfer needs learning_rate > 0 and before >= 1; got {self.learning_rate} and {self.before}."
            )

    def sample(self, key: jax.Array) -> prompts.Data:
        """Draw the target's data. Consumes `key`."""
        return self.target.sample(key)

    def init(self, key: jax.Array, data: prompts.Data) -> State:
        """Train both prompts from one start, take their cosine, and begin the target's prompt. Consumes `key`."""
        key_prompt, key_source, *keys = jax.random.split(key, 4)
        fresh = self.target.init(key_prompt, data)
        elsewhere = self.source.sample(key_source)._replace(trunk=data.trunk)
        teacher, own = (
            self._trained(task, fresh, seen, one)
            for task, seen, one in zip((self.source, self.target), (elsewhere, data), keys, strict=True)
        )
        similarity = jnp.sum(teacher * own) / jnp.sqrt(jnp.sum(teacher**2) * jnp.sum(own**2))
        begun = jnp.where(self.inherit > 0.5, teacher, fresh)
        return State(begun, self._descent(self.target).optimizer().init(begun), teacher, similarity)

    def step(self, key: jax.Array, state: State, data: prompts.Data) -> State:
        """Take one step on the target's prompt; `key` draws its batch."""
        seen = self.target.model.examples(data.own, key)
        teach = self.target.apply(state.teacher, data, seen.tokens)[0]
        weight = self.strength * jnp.maximum(state.similarity, 0)

        def loss(prompt):
            logits, _ = self.target.apply(prompt, data, seen.tokens)
            return distilled(logits, teach, seen.targets, weight, seen.weight)

        optimizer = self._descent(self.target).optimizer()
        updates, memory = optimizer.update(jax.grad(loss)(state.prompt), state.memory, state.prompt)
        return state._replace(prompt=optax.apply_updates(state.prompt, updates), memory=memory)

    def observe(self, state: State, data: prompts.Data) -> dict[str, jax.Array]:
        """Return the target's observables and the similarity."""
        return self.target.observe(state.prompt, data) | {"similarity": state.similarity}

    def _descent(self, task):
        return Descent(model=task, learning_rate=self.learning_rate, rule=self.rule)

    def _trained(self, task, prompt, data, key):
        descent = self._descent(task)
        begun = DescentState(prompt, descent.optimizer().init(prompt))
        return advance(descent, key, begun, data, (0, self.before)).params


def TINY() -> PromptTransfer:
    """Return the instance that the contract tests check."""
    return PromptTransfer(target=prompts.TINY(), source=prompts.TINY(), learning_rate=0.01, strength=1.0, before=2)
