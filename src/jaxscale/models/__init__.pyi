"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.models.hash_encoder import HashEncoder as HashEncoder
from jaxscale.models.in_context_regression import InContextRegression as InContextRegression
from jaxscale.models.matrix_sensing import AsymmetricSensing as AsymmetricSensing
from jaxscale.models.matrix_sensing import SymmetricSensing as SymmetricSensing
from jaxscale.models.mlp import Mlp as Mlp
from jaxscale.models.multilinear_skills import MultilinearSkills as MultilinearSkills
from jaxscale.models.operators import Entries as Entries
from jaxscale.models.operators import Gaussian as Gaussian
from jaxscale.models.operators import Population as Population
from jaxscale.models.operators import RankOne as RankOne
from jaxscale.models.operators import SymmetricGaussian as SymmetricGaussian
from jaxscale.models.perceptron import Perceptron as Perceptron
from jaxscale.models.perceptron import TeacherStudent as TeacherStudent
from jaxscale.models.random_features import RandomFeatures as RandomFeatures
from jaxscale.models.random_labels import RandomLabels as RandomLabels

__all__ = [
    "Perceptron",
    "TeacherStudent",
    "RandomLabels",
    "SymmetricSensing",
    "AsymmetricSensing",
    "Population",
    "Gaussian",
    "SymmetricGaussian",
    "RankOne",
    "Entries",
    "RandomFeatures",
    "Mlp",
    "HashEncoder",
    "InContextRegression",
    "MultilinearSkills",
]
