"""A model: a text in, a text out."""

from cog import BaseRunner, Input


class Runner(BaseRunner):
    def setup(self) -> None:
        """Called once, before the first prediction: load the weights here."""
        self.greeting = "hello"

    def run(
        self,
        text: str = Input(description="Whom to greet"),
        times: int = Input(description="How often", ge=1, le=10, default=1),
    ) -> str:
        """Called for every prediction. Each parameter is an input; its type and Input(...) are checked before."""
        return " ".join([f"{self.greeting} {text}"] * times)
