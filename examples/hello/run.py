"""The smallest model: a text in, a text out."""

from cog import BaseRunner, Input


class Runner(BaseRunner):
    def setup(self) -> None:
        # A real model loads its weights here, once, before the first prediction.
        self.greeting = "hello"

    def run(self, text: str = Input(description="Whom to greet")) -> str:
        return f"{self.greeting} {text}"
