from typing import Annotated

from cog import BaseRunner, Opaque


class Request:
    """Of some package that is known to nobody here."""


class Runner(BaseRunner):
    def run(self, request: Annotated[Request, Opaque], history: Annotated[list[Request], Opaque] = []) -> Annotated[Request, Opaque]:
        return {"text": "x"}
