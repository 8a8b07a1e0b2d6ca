"""The process of a refinement against sums that are exact: regression in closed form, outcomes by quadrature."""

import itertools

import numpy as np
import pytest

from jaxscale.phase.process import Observations, Posterior, Shape, learn

PLACE = np.array([[0.1, 0.2], [0.4, 0.5], [0.8, 0.9]])
SHAPE = Shape(amplitude=2)


def grid_of_outcomes(ones, zeros, kernel):
    """Evidence, means and variances of sigmoid outcomes under N(0, kernel), by summing over a fine grid."""
    axis = np.linspace(-12, 12, 81)
    f = np.array(list(itertools.product(axis, repeat=len(ones))))
    inverse, step = np.linalg.inv(kernel), (axis[1] - axis[0]) ** len(ones)
    log = -0.5 * np.einsum("ni,ij,nj->n", f, inverse, f) - 0.5 * np.linalg.slogdet(2 * np.pi * kernel)[1]
    log = log - np.logaddexp(0, -f) @ ones - np.logaddexp(0, f) @ zeros
    weight = np.exp(log) * step
    mean = weight @ f / weight.sum()
    return np.log(weight.sum()), mean, weight @ (f - mean) ** 2 / weight.sum()


@pytest.mark.parametrize("ones, zeros", [([1, 0, 0], [0, 1, 0]), ([0, 2, 5], [4, 2, 0]), ([0, 0, 3], [3, 3, 0])])
def test_outcomes_against_quadrature(ones, zeros):
    ones, zeros = np.array(ones, float), np.array(zeros, float)
    seen = (ones + zeros) > 0
    observed = Observations(PLACE[seen], (ones + zeros)[seen], ones[seen], True)
    posterior = Posterior(observed, SHAPE)
    evidence, mean, variance = grid_of_outcomes(ones[seen], zeros[seen], SHAPE.kernel(PLACE[seen], PLACE[seen]))
    found = posterior.alone(PLACE[seen])
    assert abs(posterior.evidence - evidence) < 0.03
    np.testing.assert_allclose(found[0], mean, atol=0.05 * np.sqrt(variance.max()))
    np.testing.assert_allclose(
        found[1], variance, rtol=0.1
    )  # cells that each took one side are skewed, and the process is Gaussian


def test_values_against_the_closed_form():
    y, count, noise = np.array([-1.0, 0.3, 1.2]), np.array([1, 4, 2]), 0.3
    posterior = Posterior(Observations(PLACE, count, y * count, False, noise), SHAPE)
    whole = SHAPE.kernel(PLACE, PLACE) + np.diag(noise / count)
    new = np.array([[0.3, 0.3], [0.9, 0.1]])
    cross = SHAPE.kernel(PLACE, new)
    mean, covariance = posterior.joint(new)
    np.testing.assert_allclose(mean, cross.T @ np.linalg.solve(whole, y), rtol=1e-5)
    exact = SHAPE.kernel(new, new) - cross.T @ np.linalg.solve(whole, cross)
    np.testing.assert_allclose(covariance, exact, rtol=1e-4)
    np.testing.assert_allclose(posterior.alone(new)[1], np.diag(exact), rtol=1e-4)
    density = -0.5 * y @ np.linalg.solve(whole, y) - 0.5 * np.linalg.slogdet(whole)[1]
    assert abs(posterior.evidence - density) < 1e-4


@pytest.mark.parametrize("mean, variance", [(0.0, 0.1), (0.0, 400.0), (1.5, 4.0), (-3.0, 25.0)])
def test_an_outcome_is_worth_what_it_takes_from_the_variance_on_average(mean, variance):
    observed = Observations(PLACE, np.ones(3), np.ones(3), True)
    noise = observed.worth(np.array([mean]), np.array([variance]), 1)[0]
    f = mean + np.sqrt(variance) * np.linspace(-9, 9, 20001)
    prior = np.exp(-((f - mean) ** 2) / (2 * variance))
    left = 0.0
    for chance in (1 / (1 + np.exp(-f)), 1 / (1 + np.exp(f))):
        weight = prior * chance
        centre = weight @ f / weight.sum()
        left += weight.sum() / prior.sum() * (weight @ (f - centre) ** 2 / weight.sum())
    assert abs((variance - left) / (variance**2 / (variance + noise)) - 1) < 0.12


def test_runs_of_a_cell_add_up_and_an_old_cell_is_worth_less():
    observed = Observations(PLACE, np.ones(3), np.ones(3), True)
    known, unknown = np.zeros(1), np.full(1, 1e6)
    few, many = observed.worth(np.zeros(1), known, 2), observed.worth(np.zeros(1), known, 20)
    np.testing.assert_allclose(few, 10 * many, rtol=1e-6)
    # where the latent function is unknown, more runs of one place do not help
    np.testing.assert_allclose(observed.worth(np.zeros(1), unknown, 2), observed.worth(np.zeros(1), unknown, 20), rtol=1e-3)


def test_a_sharper_outcome_is_learned_to_be_sharper():
    rng = np.random.default_rng(0)
    place = rng.random((150, 2))
    amplitude = []
    for width in (0.2, 0.01):
        chance = 1 / (1 + np.exp(-np.clip((place[:, 1] - 0.5) / width, -50, 50)))
        total = rng.binomial(2, chance).astype(float)
        amplitude.append(learn(Observations(place, np.full(150, 2), total, True), Shape()).shape.amplitude)
    assert amplitude[1] > amplitude[0]
