"""The command: `python -m scripts.documents`."""

from __future__ import annotations

import sys

from scripts.documents.desk import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
