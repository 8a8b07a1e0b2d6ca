"""Exit codes: 0 done, 1 a claim was not met or a check failed, 2 bad input, 130 interrupted."""

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
