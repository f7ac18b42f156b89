"""The sentences that say most of a text, in their order: LexRank (Erkan and Radev, 2004), with the standard library alone."""

import math
import re
from collections import Counter
from pathlib import Path as LocalPath

from cog import BaseRunner, ConcatenateIterator, Input, Path

# Ended by a mark, perhaps in quotes, and followed by a capital, a digit or a quote.
SENTENCE = re.compile(
    r"(?:(?<=[.!?\u2026])|(?<=[.!?\u2026][\"')\u2019\u201d]))\s+(?=[\"'(\u2018\u201c]*[A-Z0-9\u00c0-\u00de])"
)
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
DAMPING = 0.85  # of the walk from sentence to sentence; the rest jumps anywhere
ROUNDS = 60  # of the power method: far more than ranks need to settle
STOP = frozenset(
    (LocalPath(__file__).parent / "common.txt").read_text().split()
)  # they say nothing of a text


class Runner(BaseRunner):
    def run(
        self,
        text: str = Input(description="What to summarize", default="", max_length=500_000),
        file: Path | None = Input(
            description="A text file to summarize in the place of `text`", default=None
        ),
        sentences: int = Input(description="Sentences of the summary", ge=1, le=50, default=3),
    ) -> ConcatenateIterator[str]:
        if file is not None:
            text = file.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("there is nothing to summarize: give `text` or `file`")
        every = [
            " ".join(part.split())
            for block in re.split(r"\n\s*\n", text)
            for part in SENTENCE.split(block)
            if part.strip()
        ]
        ranks = rank([words(sentence) for sentence in every])
        best = sorted(range(len(every)), key=lambda index: -ranks[index])[:sentences]
        print(f"{len(best)} of {len(every)} sentences")
        for place, index in enumerate(sorted(best)):
            yield every[index] if place == 0 else f" {every[index]}"


def words(sentence: str) -> Counter[str]:
    return Counter(word for word in map(str.lower, WORD.findall(sentence)) if word not in STOP)


def rank(sentences: list[Counter[str]]) -> list[float]:
    """How central each sentence is: what a long walk visits that goes from sentence to similar sentence."""
    links = similarities(sentences)
    share = 1 / len(sentences)
    ranks = [share] * len(sentences)
    for _ in range(ROUNDS):
        coming = [0.0] * len(sentences)
        for index, row in enumerate(links):
            whole = sum(row.values())
            for other, weight in row.items():
                coming[other] += ranks[index] * weight / whole
        lost = 1 - sum(coming)  # of sentences that are like no other
        ranks = [(1 - DAMPING) * share + DAMPING * (each + lost * share) for each in coming]
    return ranks


def similarities(sentences: list[Counter[str]]) -> list[dict[int, float]]:
    """The cosine of every two sentences that share a word, each word weighed by how rare it is."""
    found = Counter(word for sentence in sentences for word in sentence)
    vectors = []
    for sentence in sentences:
        weighed = {
            word: count * math.log(1 + len(sentences) / found[word]) for word, count in sentence.items()
        }
        length = math.sqrt(sum(weight * weight for weight in weighed.values()))
        vectors.append({word: weight / length for word, weight in weighed.items()})
    holders: dict[str, list[int]] = {}
    for index, vector in enumerate(vectors):
        for word in vector:
            holders.setdefault(word, []).append(index)
    links: list[dict[int, float]] = []
    for index, vector in enumerate(vectors):
        row: dict[int, float] = {}
        for word, weight in vector.items():
            for other in holders[word]:
                if other != index:
                    row[other] = row.get(other, 0.0) + weight * vectors[other][word]
        links.append(row)
    return links
