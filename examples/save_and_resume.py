"""A curve learned from noisy points, in two sittings: what is saved and resumed ends as if it had never stopped.

Needs fastmlp alone:  python examples/save_and_resume.py
"""

import tempfile
from pathlib import Path

import numpy as np

import fastmlp

EPOCHS = 60


def points(n: int) -> tuple[np.ndarray, np.ndarray]:
    """n points of a sine with noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-np.pi, np.pi, size=(n, 1))
    return x, np.sin(2 * x) + rng.normal(scale=0.1, size=(n, 1))


def train(net: fastmlp.MLP, epochs: int) -> None:
    x, y = points(1000)
    history = net.fit(x, y, epochs=epochs, batch_size=20, optimizer=fastmlp.Adam(3e-3))
    print(f"{epochs} epochs, {net.n_steps} steps so far: loss {history['loss'][-1]:.5f}")


def main() -> None:
    print("In one sitting:")
    straight = fastmlp.MLP([1, 32, 32, 1], activation="tanh", seed=0)
    train(straight, EPOCHS)

    print("In two, with a file between them:")
    net = fastmlp.MLP([1, 32, 32, 1], activation="tanh", seed=0)
    train(net, EPOCHS // 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "curve.safetensors")
        net.save(path)  # weights, Adam's moments, and which epoch and step it is
        print(f"saved {path.stat().st_size:,} bytes")
        net = fastmlp.load(path)
    train(net, EPOCHS - EPOCHS // 2)

    same = all(np.array_equal(a, b) for a, b in zip(straight.weights, net.weights, strict=True))
    print("the same weights, bit for bit:", same)

    print("\n     x   sin 2x    learned")
    for x in np.linspace(-3, 3, 13):
        learned = net.predict([[x]])[0, 0]
        print(f"{x:6.1f} {np.sin(2 * x):8.3f} {learned:10.3f}   " + " " * round(20 + 18 * learned) + "*")


if __name__ == "__main__":
    main()
