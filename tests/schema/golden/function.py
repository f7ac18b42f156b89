from cog import Input


def predict(number: float = Input(description="To double", le=1e6)) -> float:
    return number * 2
