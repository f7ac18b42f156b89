from typing import List, Optional

from cog import BaseModel, BaseRunner, Input, Path


class Word(BaseModel):
    text: str
    start: float
    end: float
    probability: Optional[float] = None


class Segment(BaseModel):
    id: int
    text: str
    words: List[Word]


class Output(BaseModel):
    language: str
    segments: List[Segment]
    srt_file: Optional[Path]


class Runner(BaseRunner):
    def run(
        self,
        audio: Path = Input(description="What to transcribe", accept="audio/*"),
        language: str = Input(choices=["auto", "de", "en"], default="auto"),
        translate: bool = False,
        temperature: float = 0,
    ) -> Output:
        return Output(language=language, segments=[])
