from typing import List, Optional

from cog import BaseRunner, Input, Path


class Runner(BaseRunner):
    def run(
        self,
        a: Optional[str],
        b: Optional[int] = 3,
        c: float | None = None,
        d: Optional[List[int]] = Input(default=None, description="Some numbers"),
        e: Optional[Path] = Input(),
        f: int = None,
        g: Optional[str] = Input(default=None, choices=["x", "y"]),
    ) -> str:
        return ""
