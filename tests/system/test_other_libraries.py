"""Other libraries' threads in one process with ours: no one waits for the other, and the bits are the same."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, json, os, sys, threading
{imports}
import numpy as np
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 37)), rng.integers(0, 5, 400)
torch.set_num_threads(2)

def trained(threads):
    net = fastmlp.MLP([37, 70, 45, 5], output="softmax", seed=1)
    net.fit(X, y, epochs=3, batch_size=32, threads=threads)
    return hashlib.sha256(net.predict(X).tobytes()).hexdigest()

def multiply():
    a = torch.rand(300, 300)
    while not over.is_set():
        (a @ a).relu().sum().item()

over, found = threading.Event(), [trained(1)]
other = threading.Thread(target=multiply)
other.start()
found += [trained(2), trained(2)]
over.set()
other.join()
net = torch.nn.Linear(37, 5)
torch.nn.functional.cross_entropy(net(torch.tensor(X).float()), torch.tensor(y)).backward()
found.append(trained(2))
print(json.dumps(found))
"""


@pytest.mark.parametrize("first", ["fastmlp", "torch"])
def test_beside_torch(first):
    """PyTorch has an OpenMP of its own; whichever comes first, both work."""
    pytest.importorskip("torch")
    imports = "\n".join(f"import {name}" for name in sorted(("fastmlp", "torch"), key=lambda name: name != first))
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM.format(imports=imports)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(set(json.loads(result.stdout))) == 1
