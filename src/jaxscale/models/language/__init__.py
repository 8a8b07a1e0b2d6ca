"""Networks on token sequences: the decoder and its mixers, their training objective, adapters, growth and text.

`LanguageModel` puts a network in a world of `jaxscale.data` and is what descent trains; `Tuned` trains adapters of a frozen one
and `Prompted` a soft prompt before it. `Tap` reads, clamps or ablates any named activation of a forward pass.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "LanguageModel": "jaxscale.models.language.model",
    "cross_entropy": "jaxscale.models.language.model",
    "Decoder": "jaxscale.models.language.decoder",
    "TokenMlp": "jaxscale.models.language.token_mlp",
    "Attention": "jaxscale.models.language.attention",
    "LinearAttention": "jaxscale.models.language.attention",
    "QuasiLstm": "jaxscale.models.language.recurrent",
    "ReluRnn": "jaxscale.models.language.recurrent",
    "S4D": "jaxscale.models.language.s4d",
    "Experts": "jaxscale.models.language.experts",
    "ExpertPerceptron": "jaxscale.models.language.experts",
    "GhostBatchNorm": "jaxscale.models.language.ghost_norm",
    "sqrt_rate": "jaxscale.models.language.ghost_norm",
    "Tap": "jaxscale.models.language.taps",
    "Sites": "jaxscale.models.language.taps",
    "Tuned": "jaxscale.models.language.tuned",
    "Lora": "jaxscale.models.language.tuned",
    "Eva": "jaxscale.models.language.tuned",
    "LoraSb": "jaxscale.models.language.tuned",
    "Bone": "jaxscale.models.language.tuned",
    "Bat": "jaxscale.models.language.tuned",
    "Prompted": "jaxscale.models.language.prompt",
    "Emulated": "jaxscale.models.language.adapt",
    "LowRank": "jaxscale.models.language.adapt",
    "adapted": "jaxscale.models.language.adapt",
    "lora_fair": "jaxscale.models.language.adapt",
    "widened": "jaxscale.models.language.grown",
    "widened_moments": "jaxscale.models.language.grown",
    "deepened": "jaxscale.models.language.grown",
    "staged": "jaxscale.models.language.grown",
    "upcycled": "jaxscale.models.language.grown",
    "hull_expanded": "jaxscale.models.language.vocabulary",
    "crossed": "jaxscale.models.language.vocabulary",
    "generate": "jaxscale.models.language.generation",
    "trained_model": "jaxscale.models.language.generation",
    "save_params": "jaxscale.models.language.generation",
    "load_params": "jaxscale.models.language.generation",
    "flops_per_token": "jaxscale.models.language.flops",
    "mfu": "jaxscale.models.language.flops",
    "throughput": "jaxscale.models.language.flops",
    "steps_in": "jaxscale.models.language.flops",
    "Role": "jaxscale.models.language.tensor_roles",
    "roles": "jaxscale.models.language.tensor_roles",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
