from typing import Iterator

from cog import BaseRunner, Input, Path


class Runner(BaseRunner):
    def run(self, video: Path, every: int = Input(default=10, ge=1)) -> Iterator[Path]:
        yield video
