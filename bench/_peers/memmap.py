"""memory.py's process: trains on a memmap, one phase for each request, and is weighed in between (_worker.serve).

Before the second phase nothing is imported but what serves requests, so that what is weighed first is the interpreter.
"""

import importlib
import time
from typing import Any

from _worker import serve


class Mapped:
    """The questions to the process, in this order; each answers how long it took."""

    def interpreter(self) -> float:
        return 0.0

    def imports(self) -> float:
        start = time.perf_counter()
        importlib.import_module("fastmlp")
        return time.perf_counter() - start

    def network(self, path: str, rows: int, workload: dict[str, Any]) -> float:
        import numpy as np

        import fastmlp

        start = time.perf_counter()
        sizes, self.batch = workload["sizes"], workload["batch"]
        self.X = np.memmap(path, np.float32, "r", shape=(rows, sizes[0]))
        rng = np.random.default_rng(0)
        classes = workload["loss"] == "cross_entropy"
        self.y: Any = (
            rng.integers(0, sizes[-1], rows) if classes else rng.standard_normal((rows, sizes[-1]), np.float32)
        )
        self.net = fastmlp.MLP(sizes, activation=workload["activation"], loss=workload["loss"], seed=0)
        return time.perf_counter() - start

    def training(self, epochs: int) -> float:
        import fastmlp

        start = time.perf_counter()
        self.net.fit(self.X, self.y, epochs=epochs, batch_size=self.batch, optimizer=fastmlp.Adam(1e-4))
        return time.perf_counter() - start


if __name__ == "__main__":
    mapped = Mapped()
    names = ("interpreter", "imports", "network", "training")
    serve({name: getattr(mapped, name) for name in names})
