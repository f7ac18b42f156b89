from cog import BasePredictor, File, Input


class Predictor(BasePredictor):
    def predict(self, document: File = Input(description="A text"), weight: float = 1.0) -> File:
        return document
