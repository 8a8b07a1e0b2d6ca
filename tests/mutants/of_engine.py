"""Bugs of our own in the engine: the order in which things happen, what enters a key, what a contract holds sweeps to."""

from planted import Mutant

COHORT, REASONS, SEATS = "engine/run/cohort.py", "engine/run/reasons.py", "engine/run/seats.py"
ROWS, DISK, GRID, PROGRAM = "engine/keep/rows.py", "engine/store/disk.py", "engine/ask/grid.py", "engine/run/program.py"


def of(file: str, *names: str) -> tuple[str, ...]:
    """Return the names of tests in one file of tests/engine."""
    return tuple(f"tests/engine/test_{file}.py::test_{name}" for name in names)


ORDER = (
    Mutant(
        "a_saved_cohort_goes_on_a_step_late", COHORT, "saved.records, saved.step\n", "saved.records, saved.step + 1\n",
        of("checkpoint", "goes_on_where_it_was"),
    ),
    Mutant(
        "a_lane_that_has_ended_is_packed_again", COHORT, "live &= ~ended", "live &= why != Reason.DIVERGED",
        of("cohort", "a_step_is_paid_for_the_lanes_that_are_left_in_full_blocks"),
    ),
    Mutant(
        "out_of_time_is_an_end", COHORT, "ended = (why == Reason.STOPPED) | (why == Reason.DIVERGED)",
        "ended = why != Reason.LIVE",
        of("budget", "with_a_store_the_same_call_goes_on_and_gives_the_same_bits"),
    ),
    Mutant(
        "a_cohort_out_of_time_is_not_saved", COHORT, "(late or saver.due())", "saver.due()",
        of("budget", "with_a_store_the_same_call_goes_on_and_gives_the_same_bits"),
    ),
    Mutant(
        "a_cut_skips_a_record", COHORT, 'times[np.searchsorted(times, now, side="right")]',
        'times[min(np.searchsorted(times, now, side="right") + 1, len(times) - 1)]',
        of("cohort", "every_segment_accounts_for_every_lane"),
    ),
    Mutant(
        "segments_begin_at_step_0", COHORT, "blocks, jnp.int32(now), jnp.int32(cut)", "blocks, jnp.int32(0), jnp.int32(cut)",
        of("same_bits", "recorded_at_other_times"),
    ),
    Mutant(
        "steps_paid_since_the_beginning", COHORT, "slots, cut - now)", "slots, cut)",
        of("cohort", "a_step_is_paid_for_the_lanes_that_are_left_in_full_blocks"),
    ),
    Mutant(
        "reclaiming_drops_the_neighbour_too", REASONS, "why[look.stopped] =", "why[look.stopped | np.roll(look.stopped, 1)] =",
        of("reasons", "every_combination_of_what_can_be_so"),
    ),
    Mutant(
        "the_systems_word_outranks_divergence", REASONS,
        "if how.reclaim:\n        why[look.stopped] = Reason.STOPPED\n    why[look.bad >= 0] = Reason.DIVERGED\n",
        "why[look.bad >= 0] = Reason.DIVERGED\n    if how.reclaim:\n        why[look.stopped] = Reason.STOPPED\n",
        of("reasons", "every_combination_of_what_can_be_so"),
    ),
    Mutant(
        "the_clock_outranks_the_end", REASONS, "if look.at_end:\n        why[:]", "if look.at_end:\n        why[why == 0]",
        of("reasons", "every_combination_of_what_can_be_so"),
    ),
    Mutant(
        "bad_from_step_0_is_sound", REASONS, "why[look.bad >= 0]", "why[look.bad > 0]",
        of("reasons", "a_run_that_is_bad_from_the_start_has_diverged"),
    ),
    Mutant(
        "tails_are_not_masked", SEATS, "[fill - 1]\n            used[d, place] = True",
        "[np.where(np.isin(np.arange(len(fill)), place), fill - 1, 0)]\n            used[d, : len(fill)] = True",
        of("seats", "every_live_lane_is_in_one_block_and_no_other"),
    ),
    Mutant(
        "saved_states_in_the_first_seats", SEATS, "out[self.slot[live]] =", "out[self.slot[: len(saved)]] =",
        of("seats", "saved_states_go_back_to_the_lanes_they_are_of"),
    ),
    Mutant(
        "the_last_block_is_left_out", SEATS, "count[d] = need.sum()", "count[d] = max(need.sum() - 1, 1)",
        of("seats", "every_live_lane_is_in_one_block_and_no_other"),
    ),
    Mutant(
        "groups_of_any_coordinate", SEATS, "[*lanes.coords.values(), lanes.words[:, 0], lanes.words[:, 1], lanes.seeds[:, 0]]",
        "[lanes.seeds[:, 0]]", of("seats", "lanes_share_their_disorder_if_place_and_data_seed_agree"),
    ),
    Mutant(
        "first_bad_step_is_the_one_before", PROGRAM, "~is_finite(state), t + 1, bad)", "~is_finite(state), t, bad)",
        of("divergence", "first_bad_step"),
    ),
    Mutant(
        "what_ends_between_records_is_kept_one_late", ROWS, "[ended, column:] =", "[ended, column + 1 :] =",
        of("recorder", "a_lane_that_ends_keeps_its_last_values_for_all_later_records"),
    ),
    Mutant(
        "runs_of_no_time_are_in_the_piece", ROWS, "piece if ended.all() else piece.take(ended)", "piece",
        of("recorder", "lanes_that_have_not_ended_are_in_no_piece"),
    ),
    Mutant(
        "results_in_the_order_of_their_identities", "engine/keep/reductions/every_run.py", "rows = order[place[asked]]",
        "rows = place[asked]", of("same_bits", "order_of_cells"),
    ),
    Mutant(
        "parts_cut_what_is_pending", "engine/place/bucket.py", "self._part(index, part[1])",
        "self._part(np.arange(len(index)), part[1])", of("parts", "one_after_the_other"),
    ),
    Mutant(
        "a_block_in_work_takes_no_room", "engine/place/room.py", "request.memory - 4 * width * program.lane_bytes",
        "request.memory", of("room", "as_many_blocks_fit_as_their_bytes_say"),
    ),
    Mutant(
        "the_first_cohort_is_run_again_after_a_piece", "engine/place/local.py", "waiting = waiting[len(some) :]",
        "waiting = waiting[len(some) - 1 :] if len(waiting) > len(some) else waiting[len(some) :]",
        of("budget", "pieces_of_cohorts_before_are_kept"),
    ),
)  # fmt: skip

KEYS = (
    Mutant("share_is_ignored", GRID, "if name not in self.share:\n                keyed", "if True:\n                keyed",
           of("keys", "share")),
    Mutant("seeds_are_not_folded_in", PROGRAM, "in (words[0], words[1], *seeds)", "in (words[0], words[1])",
           of("keys", "every_draw_is_another")),
    Mutant("root_is_ignored", PROGRAM, 'root, impl="threefry2x32")\n    for word in (words',
           '0, impl="threefry2x32")\n    for word in (words',
           of("keys", "enters_the_key")),
    Mutant("names_of_coordinates_are_left_out", GRID, 'f"{name}={_canonical(v)}"', 'f"={_canonical(v)}"',
           of("keys", "enters_the_key")),
    Mutant("static_axes_are_left_out", GRID, "np.full(len(index), _static_hash(static, self.share), np.uint64)",
           "np.full(len(index), _static_hash({}, self.share), np.uint64)", of("keys", "enters_the_key")),
    Mutant("every_step_has_one_key", PROGRAM, "system.step(jax.random.fold_in(key_step, t), state",
           "system.step(key_step, state",
           of("same_bits", "simulate_repeats_a_lane")),
    Mutant("the_start_is_drawn_with_the_disorders_key", PROGRAM, "_, key_init, key_step = _keys",
           "key_init, _, key_step = _keys",
           of("keys", "every_draw_is_another")),
    Mutant("simulate_swaps_data_and_init", "simulation.py", "key_data, key_init, key_step = jax",
           "key_init, key_data, key_step = jax",
           of("same_bits", "simulate_repeats_a_lane")),
)  # fmt: skip

CONTRACTS = (
    Mutant("checksums_are_not_compared", DISK, "if sha256(content).hexdigest().encode() != read_file(mark, MAX_PIECE):",
           "if not content:", of("store", "damaged_piece_is_computed_again")),
    Mutant("checksums_of_checkpoints_are_not_compared", "engine/store/checkpoint.py",
           "if sha256(content).hexdigest().encode() != digest:", "if not digest:", of("checkpoint", "damaged_or_foreign")),
    Mutant("a_checkpoint_of_other_runs_is_used", "engine/store/checkpoint.py", "if not np.array_equal(there.ids, ids) or not",
           "if not", of("checkpoint", "what_was_saved_is_of_exactly_these_runs_records_and_program")),
    Mutant("another_share_is_not_another_sweep", "engine/store/identity.py", '"share": sorted(grid.share)', '"share": []',
           of("store", "belongs_to_another_sweep")),
    Mutant("another_program_is_welcome", DISK, 'if fixed["program"] != program:', "if not program:",
           of("store", "program_changed", "program_changed_between_buckets")),
    Mutant("verify_compares_nothing", "engine/audit/verification.py", "differ |= ~same", "differ &= ~same",
           of("audit", "a_forged_run_is_found")),
    Mutant("merge_takes_the_first_result", "engine/audit/growth.py", " or not _same(own[name][mine], old[name][theirs])", "",
           of("audit", "merge_refuses_conflicts")),
    Mutant("a_piece_is_named_by_its_runs_alone", "engine/keep/pieces.py", "sha256(bucket.encode() + ids.tobytes())",
           "sha256(ids.tobytes())", of("pieces", "a_name_is_that_of_exactly_these_runs_of_this_bucket")),
    Mutant("pieces_of_any_number_of_records", "engine/keep/pieces.py", '"biuf", (len(self), times))',
           '"biuf", (len(self), values.shape[-1]))', of("pieces", "a_file_that_is_none_of_runs")),
)  # fmt: skip

MUTANTS = ORDER + KEYS + CONTRACTS
