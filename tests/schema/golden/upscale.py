from cog import BaseRunner, Input, Path


class Runner(BaseRunner):
    def run(self, image: Path, scale: int = Input(default=2, choices=[2, 4])) -> Path:
        return image
