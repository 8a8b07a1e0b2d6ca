"""One file = one rule for turning gradients into updates: a record of traced hyper-parameters with `optimizer(rate)`.

`rate` is a number or a function of the step, as of `optax.scale_by_learning_rate`; what comes back is an optax transformation,
built where it is used, so that every hyper-parameter may be traced.
"""
