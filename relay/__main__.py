"""``python -m relay`` is ``parta-relay``."""

import sys

from relay.cli import main

sys.exit(main())
