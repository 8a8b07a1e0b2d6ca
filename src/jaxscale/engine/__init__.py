"""Many runs: planned, sharded, reclaimed, stored, resumed."""
