from fastmlp.passes.plan import Parameters

class Predictor:
    def __init__(self, parameters: Parameters) -> None: ...
