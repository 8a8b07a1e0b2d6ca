"""Where examples come from. One file, one source: worlds of token sequences, corpora, images, and ways to draw rows.

A world is a record that draws sequences on the device (see `jaxscale.data.world`); `check_world` says whether yours keeps the
contract. Public are the worlds, what they are made with, and the error of a text that cannot be read.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Example": "jaxscale.data.world",
    "check_world": "jaxscale.data.world",
    "next_token": "jaxscale.data.world",
    "last_only": "jaxscale.data.world",
    "batch": "jaxscale.data.world",
    "numbered": "jaxscale.data.world",
    "zipf": "jaxscale.data.world",
    "TextError": "jaxscale.data.errors",
    "Unigram": "jaxscale.data.markov",
    "Markov": "jaxscale.data.markov",
    "Hmm": "jaxscale.data.hmm",
    "Pcfg": "jaxscale.data.pcfg",
    "Hierarchy": "jaxscale.data.hierarchy",
    "Parentheses": "jaxscale.data.parentheses",
    "ModularAddition": "jaxscale.data.modular",
    "SparseParity": "jaxscale.data.parity",
    "disjoint_subsets": "jaxscale.data.parity",
    "Repeats": "jaxscale.data.repeats",
    "Delay": "jaxscale.data.delay",
    "FactConflict": "jaxscale.data.facts",
    "Stories": "jaxscale.data.stories",
    "CharacterText": "jaxscale.data.text",
    "WordText": "jaxscale.data.words",
    "SequentialDigits": "jaxscale.data.sequential_digits",
    "Distractor": "jaxscale.data.distractor",
    "Drift": "jaxscale.data.drift",
    "Relabelling": "jaxscale.data.relabel",
    "NoisyLabels": "jaxscale.data.noise",
    "margin_density": "jaxscale.data.margin",
    "along_teacher": "jaxscale.data.margin",
    "draw_rows": "jaxscale.data.minibatch",
    "draw_mask": "jaxscale.data.minibatch",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
