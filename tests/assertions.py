"""Assertions in standard errors, with a precision gate."""

import numpy as np


def assert_mean(samples, expected, *, precision, sigmas=5.0):
    """The mean of `samples` is `expected`, told apart from anything `precision` away."""
    samples = np.asarray(samples, np.float64).ravel()
    mean, sem = samples.mean(), samples.std(ddof=1) / len(samples) ** 0.5
    assert sem < precision, f"too few seeds to tell: standard error {sem:.2g}, need {precision:.2g}"
    assert abs(mean - expected) < sigmas * sem, f"{mean:.4g} ± {sem:.2g}, expected {expected:.4g}"


def close_to_the_largest(found, wanted, share):
    """Apart by at most a share of the largest entry."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert np.max(np.abs(found - wanted)) <= share * np.max(np.abs(wanted))
