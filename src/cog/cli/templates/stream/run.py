"""A model that writes: a prompt in, text out, word by word as it is made."""

import random
from collections import defaultdict

from cog import BaseRunner, ConcatenateIterator, Input

# What the model learns from. A real one loads its weights in setup().
TEXT = """
a model is a program that learned from examples . a program is a text that a machine can follow . a machine can follow
a text without a doubt . a doubt is a question that waits for an answer . an answer is a guess that a model can make .
a guess is better with more examples . more examples make a model that can answer a question .
"""


class Runner(BaseRunner):
    def setup(self) -> None:
        """Called once, before the first prediction."""
        words = TEXT.split()
        self.followers: dict[str, list[str]] = defaultdict(list)
        for word, following in zip(words, [*words[1:], words[0]], strict=True):
            self.followers[word].append(following)

    def run(
        self,
        prompt: str = Input(description="How the text begins", default="a model"),
        length: int = Input(description="Words to write", ge=1, le=1000, default=40),
        seed: int | None = Input(description="The same seed writes the same text", default=None),
    ) -> ConcatenateIterator[str]:
        """Called for every prediction. Whatever is yielded is sent at once; a client puts the parts together."""
        chance = random.Random(seed)
        word = (prompt.split() or ["a"])[-1]
        yield prompt
        for _ in range(length):
            word = chance.choice(self.followers.get(word) or list(self.followers))
            yield word if word == "." else f" {word}"
