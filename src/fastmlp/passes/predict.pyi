from fastmlp.passes.parameters import Parameters

class Predictor:
    def __init__(self, parameters: Parameters) -> None: ...
