from typing import List

from cog import BasePredictor, Input, Path

SCHEDULERS = {"DDIM": 1, "K_EULER": 2, "PNDM": 3}


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.pipe = None

    def predict(
        self,
        prompt: str = Input(description="Input prompt", default="a photo of an astronaut riding a horse on mars"),
        negative_prompt: str = Input(description="Things not to see in the output", default=None),
        image: Path = Input(description="Start from this", default=None, accept="image/*"),
        width: int = Input(description="Width in pixels", choices=[256, 512, 768, 1024], default=768),
        prompt_strength: float = Input(description="How far from the image", default=0.8, ge=0.0, le=1.0),
        num_outputs: int = Input(description="Number of images", ge=1, le=4, default=1),
        guidance_scale: float = Input(description="Scale for classifier-free guidance", ge=1, le=20, default=7.5),
        scheduler: str = Input(default="DDIM", choices=list(SCHEDULERS.keys()), description="Choose a scheduler"),
        seed: int = Input(description="Random seed. Leave blank to randomize the seed", default=None),
        disable_safety_checker: bool = Input(default=False),
    ) -> List[Path]:
        return []
