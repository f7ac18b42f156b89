"""A model that turns texts into vectors: the nearer two vectors, the more alike the texts. Many texts go in at a time."""

import math
import zlib

from cog import BaseRunner, Input


class Runner(BaseRunner):
    def setup(self) -> None:
        """Called once, before the first prediction."""
        # Load the real model here, for example: self.model = SentenceTransformer("...")
        self.size = 256

    def run(
        self,
        texts: list[str] = Input(description="What to embed, one vector for each"),
        normalize: bool = Input(
            description="Make every length 1: then the dot product is the similarity", default=True
        ),
    ) -> list[list[float]]:
        """Called for every prediction, with as many texts as the client has: one call of the real model embeds them all."""
        # The real model's turn: vectors = self.model.encode(texts, normalize_embeddings=normalize)
        vectors = [self.embed(text) for text in texts]
        return [scaled(vector) for vector in vectors] if normalize else vectors

    def embed(self, text: str) -> list[float]:
        """Counts the runs of three letters; a checksum says in which place of the vector each is counted."""
        vector = [0.0] * self.size
        padded = f"  {' '.join(text.lower().split())}  "
        for start in range(len(padded) - 2):
            place = zlib.crc32(padded[start : start + 3].encode())
            vector[place % self.size] += 1 if place & 0x8000_0000 else -1
        return vector


def scaled(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [round(number / length, 6) for number in vector] if length else vector
