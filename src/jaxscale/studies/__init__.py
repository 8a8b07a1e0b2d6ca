"""Papers put to the test. One file, one paper, one question, and a number to meet.

Each module defines `STUDY`, a `jaxscale.study.Study`; run it with `jaxscale.run_study` or `jaxscale run NAME`. A new file is
found without being listed, so nothing but the modules is public here: `jaxscale.studies.cover_capacity.STUDY`.
"""

from jaxscale.lazy import lazily

_PUBLIC: dict[str, str] = {}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
