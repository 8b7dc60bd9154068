"""memory.py's process: trains on a memmap; says where it is, a line of JSON each, and waits until it has been weighed.

`python -m _peers.memmap PATH ROWS EPOCHS WORKLOAD`, the last as JSON. Until the first line nothing is imported that an
interpreter does not need, so that what is weighed there is the interpreter's own.
"""

import json
import sys
import time


def reached(phase: str, seconds: float = 0.0) -> None:
    print(json.dumps({"phase": phase, "seconds": seconds}), flush=True)
    sys.stdin.readline()


def main() -> None:
    path, rows, epochs, workload = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    reached("interpreter")
    from typing import Any

    import numpy as np

    import fastmlp

    reached("imports")
    sizes = workload["sizes"]
    X = np.memmap(path, np.float32, "r", shape=(rows, sizes[0]))
    rng = np.random.default_rng(0)
    classes = workload["loss"] == "cross_entropy"
    y: Any = rng.integers(0, sizes[-1], rows) if classes else rng.standard_normal((rows, sizes[-1]), np.float32)
    net = fastmlp.MLP(sizes, activation=workload["activation"], loss=workload["loss"], seed=0)
    reached("network and targets")
    start = time.perf_counter()
    net.fit(X, y, epochs=epochs, batch_size=workload["batch"], optimizer=fastmlp.Adam(1e-4))
    reached("training", time.perf_counter() - start)


if __name__ == "__main__":
    main()
