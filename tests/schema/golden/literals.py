from typing import Literal, Optional

from cog import BaseRunner, Input


class Runner(BaseRunner):
    def run(
        self,
        mode: Literal["fast", "slow"],
        level: Literal[1, 2, 3] = 2,
        maybe: Optional[Literal["a"]] = None,
        several: list[Literal["x", "y"]] = Input(default=["x"]),
    ) -> Literal["ok"]:
        return "ok"
