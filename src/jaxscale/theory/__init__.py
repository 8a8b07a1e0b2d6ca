"""Closed forms to compare with. One file, one body of theory: pure functions of numbers and arrays.

Public here are the functions whose name says what they are of; the others, such as `quanta.loss`, are reached through their
module.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "capacity": "jaxscale.theory.perceptron",
    "hebb_error": "jaxscale.theory.perceptron",
    "gibbs_error": "jaxscale.theory.perceptron",
    "bayes_error": "jaxscale.theory.perceptron",
    "unfitted_fraction": "jaxscale.theory.perceptron",
    "tail_constant": "jaxscale.theory.perceptron",
    "first_step": "jaxscale.theory.perceptron",
    "first_step_norm": "jaxscale.theory.perceptron",
    "stationary_noise": "jaxscale.theory.perceptron",
    "power_law": "jaxscale.theory.random_features",
    "bottleneck": "jaxscale.theory.random_features",
    "ridge_crossover": "jaxscale.theory.random_features",
    "symmetric_limit": "jaxscale.theory.sensing",
    "one_step_rate": "jaxscale.theory.sensing",
    "asymmetric_rate": "jaxscale.theory.sensing",
    "degrees_of_freedom": "jaxscale.theory.sensing",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
