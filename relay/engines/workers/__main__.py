"""``python -m relay.engines.workers DESCRIPTOR``: an engine process, started by ``worker.py`` and by nobody else."""

import sys

from relay.engines.workers.process import main

main(int(sys.argv[1]))
