"""Exit codes: 0 done, 1 a claim not met or a check failed, 2 bad input, 75 told to end (try again), 130 interrupted."""

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
