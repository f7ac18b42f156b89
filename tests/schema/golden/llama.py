from cog import BaseRunner, ConcatenateIterator, Input, streaming


class Runner(BaseRunner):
    @streaming
    def run(
        self,
        prompt: str = Input(min_length=1, max_length=8192),
        max_new_tokens: int = Input(ge=1, default=128),
        temperature: float = Input(ge=0.01, le=5, default=0.75),
        top_p: float = Input(ge=0.0, le=1.0, default=0.9),
        stop_sequences: str = Input(default="", deprecated=True),
        stops: list[str] = Input(default=["</s>"], description="Ends the text"),
    ) -> ConcatenateIterator[str]:
        yield prompt
