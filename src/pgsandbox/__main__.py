"""``python -m pgsandbox``: the same as the command ``pgsandbox``."""

import sys

from pgsandbox.cli import main

sys.exit(main())
