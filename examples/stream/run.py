"""Text that is written word by word, by a model that learns from a text in this folder when it starts."""

import random
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path as LocalPath

from cog import BaseRunner, ConcatenateIterator, Input, streaming

ORDER = 2  # words that the next one is guessed from; with more, so small a text would only be repeated
TOKEN = re.compile(r"[A-Za-z'-]+|[.,;:?!]")
SENTENCE_END = {".", "?", "!"}


class Runner(BaseRunner):
    def setup(self) -> None:
        text = (LocalPath(__file__).parent / "text.txt").read_text(encoding="utf-8")
        words = TOKEN.findall(text)
        # What followed each run of words, and how often; shorter runs are the answer to what was never seen.
        self.followers: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for end in range(1, len(words)):
            for order in range(min(ORDER, end) + 1):
                self.followers[tuple(word.lower() for word in words[end - order : end])][words[end]] += 1
        self.openings = [words[0], *(b for a, b in pairwise(words) if a in SENTENCE_END)]
        print(f"learned {len(self.followers)} contexts from {len(words)} words")

    @streaming
    def run(
        self,
        prompt: str = Input(
            description="How the text begins; empty: the model's choice", default="", max_length=2000
        ),
        length: int = Input(description="Words to write", ge=1, le=1000, default=80),
        temperature: float = Input(
            description="0 always takes the likeliest word, 1 follows the text, more is bolder",
            ge=0,
            le=5,
            default=1,
        ),
        seed: int | None = Input(description="The same seed writes the same text", ge=0, default=None),
    ) -> ConcatenateIterator[str]:
        chance = random.Random(seed)
        written = TOKEN.findall(prompt)
        if not written:
            written = [chance.choice(self.openings)]
            yield written[0]
            length -= 1
        for _ in range(length):
            word = self.next_word(written, temperature, chance)
            yield word if word in ".,;:?!" else f" {word}"
            written.append(word)

    def next_word(self, written: list[str], temperature: float, chance: random.Random) -> str:
        for order in range(ORDER, -1, -1):  # back off to shorter contexts
            context = tuple(word.lower() for word in written[len(written) - order :]) if order else ()
            if len(context) == order and context in self.followers:
                break
        counts = self.followers[context]
        if temperature == 0:
            return counts.most_common(1)[0][0]
        # Relative to the likeliest, so that a low temperature cannot overflow.
        best = max(counts.values())
        weights = [(count / best) ** (1 / temperature) for count in counts.values()]
        return chance.choices(list(counts), weights)[0]
