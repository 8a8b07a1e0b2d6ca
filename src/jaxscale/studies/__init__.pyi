"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""


__all__ = [
]
