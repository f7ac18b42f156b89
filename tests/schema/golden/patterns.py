from cog import BaseRunner, Input


class Runner(BaseRunner):
    def run(
        self,
        colour: str = Input(regex=r"^#[0-9a-f]{6}$", default="#ffffff", description="A colour such as #a0b1c2"),
        name: str = Input(min_length=2, max_length=20, default="ada"),
        old: str = Input(default="", deprecated=True, description="Use name"),
        top_k_results: int = Input(default=-1, ge=-1),
    ) -> str:
        return name
