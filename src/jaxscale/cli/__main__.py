"""Run the command line by `python -m jaxscale.cli`."""

import sys

from jaxscale.cli import main

if __name__ == "__main__":
    sys.exit(main())
