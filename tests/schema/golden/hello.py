from cog import BaseRunner, Input


class Runner(BaseRunner):
    def run(self, text: str = Input(description="Who to greet")) -> str:
        return f"hello {text}"
