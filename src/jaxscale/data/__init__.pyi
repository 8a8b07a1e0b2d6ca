"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.data.delay import Delay as Delay
from jaxscale.data.distractor import Distractor as Distractor
from jaxscale.data.drift import Drift as Drift
from jaxscale.data.errors import TextError as TextError
from jaxscale.data.facts import FactConflict as FactConflict
from jaxscale.data.hierarchy import Hierarchy as Hierarchy
from jaxscale.data.hmm import Hmm as Hmm
from jaxscale.data.margin import along_teacher as along_teacher
from jaxscale.data.margin import margin_density as margin_density
from jaxscale.data.markov import Markov as Markov
from jaxscale.data.markov import Unigram as Unigram
from jaxscale.data.minibatch import draw_mask as draw_mask
from jaxscale.data.minibatch import draw_rows as draw_rows
from jaxscale.data.modular import ModularAddition as ModularAddition
from jaxscale.data.noise import NoisyLabels as NoisyLabels
from jaxscale.data.parentheses import Parentheses as Parentheses
from jaxscale.data.parity import SparseParity as SparseParity
from jaxscale.data.parity import disjoint_subsets as disjoint_subsets
from jaxscale.data.pcfg import Pcfg as Pcfg
from jaxscale.data.relabel import Relabelling as Relabelling
from jaxscale.data.repeats import Repeats as Repeats
from jaxscale.data.sequential_digits import SequentialDigits as SequentialDigits
from jaxscale.data.stories import Stories as Stories
from jaxscale.data.text import CharacterText as CharacterText
from jaxscale.data.words import WordText as WordText
from jaxscale.data.world import Example as Example
from jaxscale.data.world import batch as batch
from jaxscale.data.world import check_world as check_world
from jaxscale.data.world import last_only as last_only
from jaxscale.data.world import next_token as next_token
from jaxscale.data.world import numbered as numbered
from jaxscale.data.world import zipf as zipf

__all__ = [
    "Example",
    "check_world",
    "next_token",
    "last_only",
    "batch",
    "numbered",
    "zipf",
    "TextError",
    "Unigram",
    "Markov",
    "Hmm",
    "Pcfg",
    "Hierarchy",
    "Parentheses",
    "ModularAddition",
    "SparseParity",
    "disjoint_subsets",
    "Repeats",
    "Delay",
    "FactConflict",
    "Stories",
    "CharacterText",
    "WordText",
    "SequentialDigits",
    "Distractor",
    "Drift",
    "Relabelling",
    "NoisyLabels",
    "margin_density",
    "along_teacher",
    "draw_rows",
    "draw_mask",
]
