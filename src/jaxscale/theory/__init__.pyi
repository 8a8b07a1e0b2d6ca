"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.theory.perceptron import bayes_error as bayes_error
from jaxscale.theory.perceptron import capacity as capacity
from jaxscale.theory.perceptron import first_step as first_step
from jaxscale.theory.perceptron import first_step_norm as first_step_norm
from jaxscale.theory.perceptron import gibbs_error as gibbs_error
from jaxscale.theory.perceptron import hebb_error as hebb_error
from jaxscale.theory.perceptron import stationary_noise as stationary_noise
from jaxscale.theory.perceptron import tail_constant as tail_constant
from jaxscale.theory.perceptron import unfitted_fraction as unfitted_fraction
from jaxscale.theory.random_features import bottleneck as bottleneck
from jaxscale.theory.random_features import power_law as power_law
from jaxscale.theory.random_features import ridge_crossover as ridge_crossover
from jaxscale.theory.sensing import asymmetric_rate as asymmetric_rate
from jaxscale.theory.sensing import degrees_of_freedom as degrees_of_freedom
from jaxscale.theory.sensing import one_step_rate as one_step_rate
from jaxscale.theory.sensing import symmetric_limit as symmetric_limit

__all__ = [
    "capacity",
    "hebb_error",
    "gibbs_error",
    "bayes_error",
    "unfitted_fraction",
    "tail_constant",
    "first_step",
    "first_step_norm",
    "stationary_noise",
    "power_law",
    "bottleneck",
    "ridge_crossover",
    "symmetric_limit",
    "one_step_rate",
    "asymmetric_rate",
    "degrees_of_freedom",
]
