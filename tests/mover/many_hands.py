"""The mover with tasks so small that of each directory another worker takes care, as it is with very many entries."""
from __future__ import annotations

import sys

from kubectl_volresize.mover import prepare, scan
from kubectl_volresize.mover.__main__ import main

if __name__ == "__main__":
    prepare._ENTRIES_PER_TASK = 1
    scan._DIRECTORIES_PER_TASK = 1
    sys.exit(main())
