from typing import List, Optional, TypedDict

from cog import BaseRunner


class Box(TypedDict):
    x: int
    y: int
    label: str


class Runner(BaseRunner):
    def run(self, hint: Box = {"x": 0, "y": 0, "label": ""}, limit: Optional[int] = None) -> List[Box]:
        return []
