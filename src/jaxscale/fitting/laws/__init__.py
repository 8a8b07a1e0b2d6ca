"""Every module here is one law: `LAW`, its formula as `shape`, and `TINY`, a small experiment that determines it.

`jaxscale.fitting.laws.power` is the power law, and is imported when it is asked for. A file added to this folder is a new law.
"""

from jaxscale.lazy import lazily

__getattr__, __dir__ = lazily(__name__, {})
