"""`python -m cog.server.http` in an image: the model's Python hands over to the server's, which has what a server needs.

It lies beside the SDK in the model's Python, as `cog/server/http.py`; in the workshop it is never imported.
"""

from __future__ import annotations

import os
import sys
from typing import Final

SERVER: Final = "/opt/cog/server/bin/python"


def main() -> None:
    """Turn into the server; the model runs in the Python that was called."""
    # Isolated: what PYTHONPATH and the like say is meant for the model, which finds them in its environment.
    command = [SERVER, "-I", "-m", "cog.server.http", *sys.argv[1:]]
    variables = {"COG_WORKER_PYTHON": sys.executable, **os.environ}
    try:
        os.execve(SERVER, command, variables)
    except OSError as error:
        sys.exit(
            f"cog: the server's environment, {SERVER}, cannot be started: {error.strerror}. `cog build` puts it into an image; "
            "outside of one the model is served with `cog serve`."
        )


if __name__ == "__main__":
    main()
