"""The bugs that the audit of the house planted: fourteen were caught then, twelve were not, and three are of no consequence."""

import dataclasses

from planted import Mutant

MARK = 'write_atomic(file.with_suffix(".done"), sha256(content).hexdigest().encode())'

SURVIVED = (
    Mutant(
        "a_band_of_95_percent_is_one_of_90", "resampling.py", "level: float = 0.95, axis", "level: float = 0.90, axis",
        ("tests/test_resampling.py::test_a_band_is_95_percent_unless_told_otherwise",),
    ),
    Mutant(
        "slope_times_the_range_and_not_over_it", "phase/curve_passages.py",
        "np.gradient(above.mean[i], places) / (axis", "np.gradient(above.mean[i], places) * (axis",
        ("tests/phase/test_success.py::test_slope_and_position_have_the_units_of_the_control_parameter",),
    ),
    Mutant(
        "rows_in_use_rounded_down", "models/perceptron.py", "jnp.round(model.alpha * model.d)",
        "jnp.floor(model.alpha * model.d)",
        ("tests/models/test_perceptron.py::test_rows_past_the_load_change_nothing",),
    ),
    Mutant(
        "collapse_scales_by_L_to_the_nu", "phase/collapsing.py", "threshold=threshold, nu=nu, exponent=exponent)",
        "threshold=threshold, nu=1 / nu, exponent=exponent)",
        ("tests/phase/test_transitions.py::test_scaled_points_of_all_sizes_lie_on_the_planted_curve",),
    ),
    Mutant(
        "residuals_in_the_order_of_the_table", "fitting/checks.py", 'residual[np.argsort(scale, kind="stable")]', "residual",
        ("tests/fitting/test_honesty.py::test_residuals_that_follow_the_scale_are_seen_in_any_order_of_the_table",),
    ),
    Mutant(
        "AICc_without_its_correction", "fitting/comparison.py", "2 * k * n / (n - k - 1) if", "2 * k if",
        ("tests/fitting/test_analysis.py::test_information_criteria_are_those_of_the_books",),
    ),
    Mutant(
        "the_top_of_a_curve_is_an_optimum", "fitting/isoflop.py", "if bend > 0 else", "if bend != 0 else",
        ("tests/fitting/test_analysis.py::test_the_top_of_a_curve_that_bends_down_is_no_optimum",),
    ),
    Mutant(
        "diverged_runs_count_as_finished", "engine/run/cohort.py", "int((records.why == reason).sum()) for reason in",
        "int((records.why >= reason).sum()) for reason in",
        ("tests/engine/test_cohort.py::test_every_segment_accounts_for_every_lane",),
    ),
    Mutant(
        "entries_that_one_contract_has_not_are_not_compared", "engine/store/manifest.py", "sorted(set(old) | set(new))",
        "sorted(set(old) & set(new))",
        ("tests/engine/test_store.py::test_a_contract_with_an_entry_that_one_side_has_not_is_another",),
    ),
    Mutant(
        "crossed_seeds_read_transposed", "resampling.py", "[:, None] * b + rng.integers(0, b, b)[None, :]",
        "[:, None] + a * rng.integers(0, b, b)[None, :]",
        ("tests/fitting/test_clusters.py::test_a_mean_over_crossed_seeds_has_the_variance_of_its_rows_and_columns",),
    ),
    Mutant(
        "stationary_noise_without_chi", "theory/perceptron.py", "return (d + chi) / (2 * math.sqrt(d) * m)",
        "return d / (2 * math.sqrt(d) * m)",
        ("tests/theory/test_theory_perceptron.py::test_at_the_stationary_noise_unfitted_points_add_no_length_on_average",),
    ),
    Mutant(
        "a_piece_is_marked_before_it_is_written", "engine/store/disk.py",
        f"write_atomic(file, content)\n            {MARK}", f"{MARK}\n            write_atomic(file, content)",
        ("tests/engine/test_store.py::test_a_piece_is_there_when_both_of_its_files_are",
         "tests/engine/test_store.py::test_no_mark_ever_stands_alone"),
    ),
)  # fmt: skip

CAUGHT = (
    Mutant(
        "the_smallest_singular_value_is_the_largest", "models/matrix_sensing.py", "eigvalsh(left.T @ left)[0]",
        "eigvalsh(left.T @ left)[-1]", ("tests/models/test_matrix_sensing.py::test_singular_values_are_numpys",),
    ),
    Mutant(
        "entries_scaled_by_n_over_m", "models/operators.py", "jnp.sqrt(n / self.m) * seen", "(n / self.m) * seen",
        ("tests/models/test_operators.py::test_mean_energy_is_the_squared_frobenius_norm",),
    ),
    Mutant(
        "a_stride_counts_as_one_step", "dynamics/until.py", "jnp.where(state.stopped, 0, self.every)",
        "jnp.where(state.stopped, 0, 1)",
        ("tests/dynamics/test_until.py::test_looking_every_third_step_stops_on_a_third_step",),
    ),
    Mutant(
        "margins_without_root_two", "data/margin.py", "jnp.sqrt(2 * jax.random.exponential", "jnp.sqrt(jax.random.exponential",
        ("tests/data/test_margin.py::test_density_along_the_teacher",),
    ),
    Mutant(
        "warm_up_one_step_late", "dynamics/schedules.py", "jnp.minimum((step + 1) / jnp", "jnp.minimum(step / jnp",
        ("tests/dynamics/test_trained.py::test_schedules",),
    ),
    Mutant(
        "rotary_frequencies_half_as_far_apart", "models/language/attention.py", "(-jnp.arange(0, size, 2) / size)",
        "(-jnp.arange(0, size // 2) / size)",
        ("tests/models/language/test_layers_in_numpy.py::test_a_decoder_from_tokens_to_logits",),
    ),
    Mutant(
        "fourth_moments_merged_with_the_others_weights", "engine/keep/sums.py", "(na**2 * b2 + nb**2 * a2)",
        "(na**2 * a2 + nb**2 * b2)", ("tests/engine/test_reduce.py::test_merge_is_by_row",),
    ),
    Mutant(
        "variance_of_the_line_is_taken_from_that_of_the_point", "phase/collapse_quality.py", "(dv[i] ** 2 + variance)",
        "(dv[i] ** 2 - variance)", ("tests/phase/test_transitions.py::test_the_quality_of_the_true_exponents_is_one",),
    ),
    Mutant(
        "binder_without_its_three", "phase/transitions.py", "np.maximum(3 * m[1] ** 2", "np.maximum(m[1] ** 2",
        ("tests/phase/test_transitions.py::test_binder_of_a_normal_distribution_is_zero",),
    ),
    Mutant(
        "disorder_drawn_from_the_init_seed", "engine/run/program.py", "lane.words, lane.seeds[:1])[0]",
        "lane.words, lane.seeds[-1:])[0]", ("tests/engine/test_keys.py::test_crossed_seeds",),
    ),
    Mutant(
        "training_windows_reach_the_held_out_tenth", "data/text.py", "0, held_out_from(codes) - self.context)",
        "0, held_out_from(codes))", ("tests/data/test_draws.py::test_what_is_trained_on_stops_before_what_is_held_out",),
    ),
    Mutant(
        "nan_one_record_late", "engine/keep/rows.py", "(self.times[None, :] >= diverged_at[:, None])",
        "(self.times[None, :] > diverged_at[:, None])",
        ("tests/engine/test_recorder.py::test_from_its_first_bad_step_on_a_lane_is_nothing",),
    ),
    Mutant(
        "momentum_adds_whole_gradients", "dynamics/rules/momentum.py", "self.beta * m + (1 - self.beta) * g",
        "self.beta * m + g",
        ("tests/dynamics/test_trained.py::test_momentum_by_hand",),
    ),
    Mutant(
        "binder_from_central_moments", "engine/keep/sums.py", "1 - raw4 / (3 * raw2**2)", "1 - f / (3 * v**2)",
        ("tests/engine/test_reduce.py::test_one_block_at_a_time",),
    ),
)  # fmt: skip

HARMLESS = (
    Mutant(
        "spread_of_replicas_with_ddof_0", "fitting/result.py", "float(replicas.std(ddof=1))", "float(replicas.std())",
        ("tests/fitting/test_fit.py::test_an_estimate_prints_both_errors",), harmless=True,
    ),
    Mutant(  # traced axes are narrowed before they are hashed
        "names_of_values_in_64_bits", "engine/ask/grid.py", "float(np.float32(value)).hex()", "float(value).hex()",
        ("tests/engine/test_keys.py::test_float64_is_read_as_the_run_reads_it",), harmless=True,
    ),
    Mutant(  # when stopped lanes are looked for decides what a run costs, and not what it gives
        "hazard_of_a_segment_and_not_of_a_step", "engine/run/cohort.py", "0.5 * ended / (steps * live)", "0.5 * ended / live",
        ("tests/engine/test_segments.py::test_no_span_is_longer_than_its_seconds",), harmless=True,
    ),
)  # fmt: skip

MUTANTS = tuple(dataclasses.replace(mutant, audit=True) for mutant in SURVIVED + CAUGHT) + HARMLESS
