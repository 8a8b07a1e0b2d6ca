"""The depleted-sign density."""

import jax
import numpy as np
import pytest
from assertions import assert_mean
from scipy.special import gamma
from scipy.stats import chi2

from jaxscale.data.margin import along_teacher, margin_density


@pytest.mark.parametrize("chi, mean", [(0.0, 0.79788), (1.0, 1.25331), (2.0, 2**0.5 * gamma(2.0) / gamma(1.5))])
def test_density_along_the_teacher(chi, mean):
    x = np.asarray(along_teacher(jax.random.key(0), 40_000, chi))
    assert_mean(x, mean, precision=0.005)
    assert_mean(x**2, 1 + chi, precision=0.015)  # chi-squared with 1 + chi degrees of freedom
    assert_mean(x < 0.3, chi2.cdf(0.09, 1 + chi), precision=0.003)  # ~ e^(1 + chi) at the boundary


@pytest.mark.parametrize("chi", [0.0, 1.0])
def test_gamma_path_agrees_with_the_shortcut(chi):
    """chi just beside 0 and 1 takes the gamma sampler."""
    x = along_teacher(jax.random.key(2), 40_000, chi + 1e-6)
    assert_mean(x, {0.0: 0.79788, 1.0: 1.25331}[chi], precision=0.005)


def test_other_coordinates_are_standard_normal_and_independent():
    points = np.asarray(margin_density(jax.random.key(3), 20_000, 3, 1.0))
    assert np.all(points[:, 0] > 0)
    assert_mean(points[:, 1:], 0, precision=0.01)
    assert_mean(points[:, 1:] ** 2, 1, precision=0.01)
    assert_mean(points[:, 0] * points[:, 1], 0, precision=0.02)
    assert_mean(points[:, 1] * points[:, 2], 0, precision=0.01)
