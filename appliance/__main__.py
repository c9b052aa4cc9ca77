"""``python -m appliance``: the same as ``parta-kit``."""

from __future__ import annotations

import sys

from appliance.cli import main

if __name__ == "__main__":
    sys.exit(main())
