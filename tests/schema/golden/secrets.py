from typing import Optional

from cog import BaseRunner, Input, Secret


class Runner(BaseRunner):
    def run(
        self,
        token: Secret = Input(description="Of your account"),
        fallback: Optional[Secret] = None,
        last: Secret = Input(default=None),
    ) -> str:
        return "done"
