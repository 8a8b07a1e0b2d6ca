"""Things that learn. One file, one model; `language` has networks on token sequences, `probes` what is measured inside.

A model is a record with `sample`, `init`, `loss` and `observe` (see `jaxscale.protocol`): its energy, not its motion. To run
it, wrap it in a rule of motion of `jaxscale.dynamics`. Public are the models and the sensing operators; a new file with a model
and a `TINY` instance is found by the contract tests without being listed here.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Perceptron": "jaxscale.models.perceptron",
    "TeacherStudent": "jaxscale.models.perceptron",
    "RandomLabels": "jaxscale.models.random_labels",
    "SymmetricSensing": "jaxscale.models.matrix_sensing",
    "AsymmetricSensing": "jaxscale.models.matrix_sensing",
    "Population": "jaxscale.models.operators",
    "Gaussian": "jaxscale.models.operators",
    "SymmetricGaussian": "jaxscale.models.operators",
    "RankOne": "jaxscale.models.operators",
    "Entries": "jaxscale.models.operators",
    "RandomFeatures": "jaxscale.models.random_features",
    "Mlp": "jaxscale.models.mlp",
    "HashEncoder": "jaxscale.models.hash_encoder",
    "InContextRegression": "jaxscale.models.in_context_regression",
    "MultilinearSkills": "jaxscale.models.multilinear_skills",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
