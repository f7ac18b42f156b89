"""Where one kind of thing is asked for."""

from __future__ import annotations

from typing import NamedTuple

from cog.server.create import Create
from cog.service.service import Service
from cog.store.memory import MemoryStore


class Desk(NamedTuple):
    """What runs it, what is kept of it, and what creates it."""

    service: Service
    store: MemoryStore
    create: Create
