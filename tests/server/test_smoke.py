from __future__ import annotations

from typing import Any

HELLO = """
    from cog import BaseRunner, Input

    class Runner(BaseRunner):
        def setup(self):
            print("setting up")

        def run(self, text: str = Input(min_length=1)) -> str:
            print("running")
            return "hello " + text
"""


def test_hello(serve: Any) -> None:
    server = serve(HELLO)
    answer = server.predict({"text": "bob"})
    assert answer.status == 200
    assert answer.json()["output"] == "hello bob"
    assert answer.json()["logs"] == "running\n"
