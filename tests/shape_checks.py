"""What the tests check of annotations with shapes: beartype, to which a whole number is a float, in modules that have them."""

import re
from pathlib import Path

from beartype import BeartypeConf, beartype

import jaxscale

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def annotated():
    """Dotted names of the modules whose annotations have shapes."""
    source = Path(jaxscale.__file__).parent
    for file in sorted(source.rglob("*.py")):
        if re.search(r"^from jaxscale\.shapes import", file.read_text(), re.M):
            yield ".".join(("jaxscale", *file.relative_to(source).with_suffix("").parts))
