"""Bugs of our own in what is taken over seeds: medians, moments, resamples, fits, boundaries."""

from planted import Mutant

MEDIAN, SUMS, MOMENTS = "engine/keep/reductions/median.py", "engine/keep/sums.py", "engine/keep/moments.py"
OF_MEDIANS = "tests/engine/test_median.py::test_"
RANKS = (OF_MEDIANS + "ranks_are_those_of_the_binomial_distribution",)
INTERVALS = (OF_MEDIANS + "an_interval_lies_between_two_order_statistics",)
OF_MOMENTS = ("tests/engine/test_reduce.py::test_one_block_at_a_time",)
OF_BANDS = "tests/test_resampling.py::test_"

MUTANTS = (
    Mutant("ranks_one_too_few", MEDIAN, "bdtr(k[None, :] - 1, n", "bdtr(k[None, :], n", RANKS),
    Mutant("ranks_of_a_one_sided_interval", MEDIAN, "<= 0.025)", "<= 0.05)", RANKS),
    Mutant("the_lower_end_one_rank_in", MEDIAN, "(rank - 1, count - rank)", "(rank, count - rank)", INTERVALS),
    Mutant("the_lower_of_two_middle_values", MEDIAN, "ordered(count // 2)) / 2", "ordered((count - 1) // 2)) / 2", INTERVALS),
    Mutant("medians_of_diverged_runs_too", MEDIAN, "there & ~gone)", "there)",
           (OF_MEDIANS + "medians_are_those_of_every_run",)),
    Mutant("a_run_is_gone_one_record_late", MEDIAN, "(times >= bad_at)", "(times > bad_at)",
           (OF_MEDIANS + "medians_are_those_of_every_run",)),
    Mutant("skewness_over_the_variance_squared", SUMS, "t / v**1.5", "t / v**2", OF_MOMENTS),
    Mutant("std_is_the_variance", SUMS, "np.sqrt(np.maximum(v, 0))", "np.maximum(v, 0)", OF_MOMENTS),
    Mutant("third_moments_merged_without_their_sign", SUMS, "(na - nb) / whole**2", "(nb - na) / whole**2",
           ("tests/engine/test_reduce.py::test_merge_is_by_row",)),
    Mutant("stopped_runs_count_as_censored", MOMENTS, "add((sound & ~last.pop(STOPPED))", "add((sound | last.pop(STOPPED))",
           OF_MOMENTS),
    Mutant("diverged_runs_are_in_the_moments", MOMENTS, "sound = self._seated(diverged_at < 0, False)",
           "sound = self._seated(diverged_at < 10**9, False)", OF_MOMENTS),
    Mutant("a_band_leaves_out_twice_as_much", "resampling.py", "return 50 - 50 * level, 50 + 50 * level",
           "return 100 - 100 * level, 100 * level",
           (OF_BANDS + "the_band_of_a_normal_is_its_mean_and_so_many_standard_errors",)),
    Mutant("students_t_with_a_degree_too_many", "resampling.py", "max(seeds - 1 if freedom is None",
           "max(seeds if freedom is None",
           (OF_BANDS + "expanded_percentiles_are_students_interval_of_a_normal",)),
    Mutant("percentiles_expanded_by_n_over_n", "resampling.py", "* np.sqrt(seeds / free)", "* 1.0",
           (OF_BANDS + "expanded_percentiles_are_students_interval_of_a_normal",)),
    Mutant("one_sided_t", "resampling.py", "stdtrit(free, 0.5 + 0.5 * level)", "stdtrit(free, level)",
           (OF_BANDS + "expanded_percentiles_are_students_interval_of_a_normal",)),
    Mutant("points_that_share_numbers_resampled_apart", "resampling.py", "rows = np.flatnonzero((groups == group) & some)",
           "rows = np.flatnonzero((groups == group) & some)[:1]",
           ("tests/phase/test_boundary.py::test_shared_random_numbers_and_crossed_seeds_are_resampled_as_they_were_drawn",)),
    Mutant("log_mean_stays_a_logarithm", "resampling.py", "return (np.exp(best), np.exp(replicas)) if",
           "return (best, replicas) if",
           ("tests/fitting/test_fit.py::test_statistics_over_seeds",)),
    Mutant("errors_are_the_spread_of_seeds", "fitting/seed_errors.py", "np.sqrt(model.variance / np.maximum(trials, 1))",
           "np.sqrt(model.variance)",
           ("tests/fitting/test_honesty.py::test_seeds_that_agree_by_chance_do_not_narrow_a_profile",
            "tests/fitting/test_fit.py::test_scipy_agrees")),
    Mutant("weights_squared", "fitting/marquardt.py", "jnp.sqrt(weight) * gap", "weight * gap",
           ("tests/fitting/test_fit.py::test_scipy_agrees",)),
    Mutant("huber_grows_half_as_fast", "fitting/marquardt.py", "huber * (2 * jnp.abs(r) - huber)",
           "huber * (jnp.abs(r) - huber)",
           ("tests/fitting/test_fit.py::test_the_objective_is_hubers",)),
    Mutant("jackknife_without_its_factor", "fitting/jackknifing.py", "np.sqrt((runs - 1) / runs *", "np.sqrt(1 / runs *",
           ("tests/fitting/test_scrutiny.py::test_the_jackknife_of_a_line_is_its_textbook_one",)),
    Mutant("jackknife_errors_of_binder_shrink", "phase/transitions.py", "* (n - 1) / np.maximum(n, 1)", "/ np.maximum(n, 1)",
           ("tests/phase/test_transitions.py::test_binder_of_a_normal_distribution_is_zero",)),
    Mutant("susceptibility_about_zero", "phase/transitions.py", "_like(scale, m[0]) * (m[1] - m[0] ** 2)",
           "_like(scale, m[0]) * m[1]", ("tests/phase/test_transitions.py::test_verdicts_on_three_kinds_of_transition",)),
    Mutant("crossings_in_logarithms_of_x_alone", "phase/boundaries.py", "values = np.log(values)", "values = values - level",
           ("tests/phase/test_boundary.py::test_crossing_of_a_power_law_is_exact_in_logarithms_only",)),
    Mutant("censored_times_are_the_last_record", "phase/first_passage.py", "np.where(passed.any(-1), when, np.inf)",
           "np.where(passed.any(-1), when, steps[-1])", ("tests/phase/test_first_passage.py",)),
    Mutant("a_boundary_is_established_by_a_guess", "phase/passages.py", "REACH = 1.959963984540054", "REACH = 0.1",
           ("tests/phase/test_boundary.py::test_nothing_is_established_where_noise_passes_the_level",)),
    Mutant("pass_at_k_without_the_samples_left", "fitting/measures/pass_at_k.py", "gammaln(n - k + 1)", "gammaln(n - k)",
           ("tests/fitting/test_measures.py",)),
)  # fmt: skip
