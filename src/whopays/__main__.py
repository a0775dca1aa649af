"""``python -m whopays``: the command line, where no script of its name is on the path."""

import sys

from whopays.cli import main

# Processes that a run starts import this module anew and must not run it.
if __name__ == "__main__":
    sys.exit(main())
