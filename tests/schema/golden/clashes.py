from cog import BaseRunner, Input


class Runner(BaseRunner):
    def run(
        self,
        Status: str = Input(choices=["a", "b"], default="a"),
        Input: int = Input(choices=[1, 2], default=1),
        größe: str = Input(choices=["s", "m"], default="s"),
        sizes: list[str] = Input(choices=["s", "m"], default=["s"]),
    ) -> str:
        return Status
