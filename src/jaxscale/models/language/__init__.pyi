"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.models.language.adapt import Emulated as Emulated
from jaxscale.models.language.adapt import LowRank as LowRank
from jaxscale.models.language.adapt import adapted as adapted
from jaxscale.models.language.adapt import lora_fair as lora_fair
from jaxscale.models.language.attention import Attention as Attention
from jaxscale.models.language.attention import LinearAttention as LinearAttention
from jaxscale.models.language.decoder import Decoder as Decoder
from jaxscale.models.language.experts import ExpertPerceptron as ExpertPerceptron
from jaxscale.models.language.experts import Experts as Experts
from jaxscale.models.language.flops import flops_per_token as flops_per_token
from jaxscale.models.language.flops import mfu as mfu
from jaxscale.models.language.flops import steps_in as steps_in
from jaxscale.models.language.flops import throughput as throughput
from jaxscale.models.language.generation import generate as generate
from jaxscale.models.language.generation import load_params as load_params
from jaxscale.models.language.generation import save_params as save_params
from jaxscale.models.language.generation import trained_model as trained_model
from jaxscale.models.language.ghost_norm import GhostBatchNorm as GhostBatchNorm
from jaxscale.models.language.ghost_norm import sqrt_rate as sqrt_rate
from jaxscale.models.language.grown import deepened as deepened
from jaxscale.models.language.grown import staged as staged
from jaxscale.models.language.grown import upcycled as upcycled
from jaxscale.models.language.grown import widened as widened
from jaxscale.models.language.grown import widened_moments as widened_moments
from jaxscale.models.language.model import LanguageModel as LanguageModel
from jaxscale.models.language.model import cross_entropy as cross_entropy
from jaxscale.models.language.prompt import Prompted as Prompted
from jaxscale.models.language.recurrent import QuasiLstm as QuasiLstm
from jaxscale.models.language.recurrent import ReluRnn as ReluRnn
from jaxscale.models.language.s4d import S4D as S4D
from jaxscale.models.language.taps import Sites as Sites
from jaxscale.models.language.taps import Tap as Tap
from jaxscale.models.language.tensor_roles import Role as Role
from jaxscale.models.language.tensor_roles import roles as roles
from jaxscale.models.language.token_mlp import TokenMlp as TokenMlp
from jaxscale.models.language.tuned import Bat as Bat
from jaxscale.models.language.tuned import Bone as Bone
from jaxscale.models.language.tuned import Eva as Eva
from jaxscale.models.language.tuned import Lora as Lora
from jaxscale.models.language.tuned import LoraSb as LoraSb
from jaxscale.models.language.tuned import Tuned as Tuned
from jaxscale.models.language.vocabulary import crossed as crossed
from jaxscale.models.language.vocabulary import hull_expanded as hull_expanded

__all__ = [
    "LanguageModel",
    "cross_entropy",
    "Decoder",
    "TokenMlp",
    "Attention",
    "LinearAttention",
    "QuasiLstm",
    "ReluRnn",
    "S4D",
    "Experts",
    "ExpertPerceptron",
    "GhostBatchNorm",
    "sqrt_rate",
    "Tap",
    "Sites",
    "Tuned",
    "Lora",
    "Eva",
    "LoraSb",
    "Bone",
    "Bat",
    "Prompted",
    "Emulated",
    "LowRank",
    "adapted",
    "lora_fair",
    "widened",
    "widened_moments",
    "deepened",
    "staged",
    "upcycled",
    "hull_expanded",
    "crossed",
    "generate",
    "trained_model",
    "save_params",
    "load_params",
    "flops_per_token",
    "mfu",
    "throughput",
    "steps_in",
    "Role",
    "roles",
]
