"""One file = one way to keep the seeds of a sweep, chosen by `reduce=`: `REDUCTIONS`, instances of the contract in
`jaxscale.engine.ask.reduction`.
"""
