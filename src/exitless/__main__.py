"""``python -m exitless`` is the command ``exitless``."""

import sys

from exitless.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
