"""A model that turns a text into a vector: the nearer two vectors, the more alike the texts. Requests that come at about the
same time are answered together, since a real model takes little longer for many texts than for one."""

import math
import zlib

from cog import BaseRunner, Input, batch


class Runner(BaseRunner):
    def setup(self) -> None:
        """Called once, before the first prediction."""
        # Load the real model here, for example: self.model = SentenceTransformer("...")
        self.size = 256

    @batch(max_size=16, max_wait=0.01, same=("normalize",))
    def run(
        self,
        text: list[str] = Input(description="What to embed"),
        normalize: bool = Input(
            description="Make every length 1: then the dot product is the similarity", default=True
        ),
    ) -> list[list[float]]:
        """Called with the texts of up to 16 predictions, each of which gets its vector. `normalize` is the same for all."""
        # The real model's turn: vectors = self.model.encode(text, normalize_embeddings=normalize)
        vectors = [self.embed(each) for each in text]
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
