from typing import Union

from cog import BaseRunner, Input


class Runner(BaseRunner):
    def run(
        self,
        a: Union[str, int],
        b: str | int | None = None,
        c: int | list[int] = Input(default=[1, 2]),
        d: dict | str = "x",
    ) -> str:
        return ""
