"""One file = one measurement of a network's inside, pure and jittable, for `observe` or for afterwards."""
