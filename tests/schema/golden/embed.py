from cog import BaseRunner, Input


class Runner(BaseRunner):
    def run(self, texts: list[str] = Input(description="Sentences", max_length=1000)) -> list[list[float]]:
        return [[0.0] for _ in texts]
