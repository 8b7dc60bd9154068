"""Writes format1/: small networks in the middle of their training, and the same ones two epochs later.

They are what fastmlp wrote before format 2, and stay: run this with PYTHONPATH on the sources of commit 329a2ff, built,
or the files are of today's format. `tests/api/test_formats.py` loads them and trains on.
"""

from pathlib import Path

import numpy as np

import fastmlp

FOLDER = Path(__file__).with_name("format1")
ROWS, EPOCHS = 40, 2

#: Together: every activation with and without its parameter, output, loss, optimizer and dtype.
TRAININGS = {
    "labels": {
        "net": {
            "sizes": [6, 7, 5, 3], "activation": ["relu", "tanh"], "output": "softmax", "dtype": "float32",
            "seed": 2**64 - 1,
        },
        "fit": {"optimizer": fastmlp.Adam(1 / 3 / 100), "batch_size": 8},
    },
    "probabilities": {
        "net": {
            "sizes": [6, 5, 5, 3], "activation": ["softplus", "logistic"], "output": "softmax", "dtype": "float64",
            "seed": 1,
        },
        "fit": {"optimizer": fastmlp.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3), "batch_size": 7},
    },
    "multilabel": {
        "net": {
            "sizes": [6, 4, 4, 4, 3], "activation": [fastmlp.ELU(0.5), fastmlp.LeakyReLU(0.1), "elu"],
            "output": "logistic", "dtype": "float32", "seed": 2,
        },
        "fit": {"optimizer": fastmlp.SGD(0.05), "batch_size": 40},
    },
    "regression": {
        "net": {
            "sizes": [6, 9, 4, 3], "activation": ["leaky_relu", "identity"], "output": "identity", "dtype": "float64",
            "seed": 3,
        },
        "fit": {"optimizer": fastmlp.Adam(0.003, beta1=0.8, beta2=0.99, weight_decay=0.01), "batch_size": 9},
    },
    "counts": {
        "net": {
            "sizes": [6, 8, 3], "activation": "sign", "output": "exp", "loss": "poisson", "dtype": "float32", "seed": 4,
        },
        "fit": {"optimizer": fastmlp.SGD(0.01, momentum=0.5), "batch_size": 16},
    },
    "linear": {
        "net": {"sizes": [6, 3], "output": "tanh", "loss": "squared_error", "dtype": "float32", "seed": 5},
        "fit": {"optimizer": fastmlp.Adam(), "batch_size": 1},
    },
}  # fmt: skip


def data(name):
    """X, y and sample weights: multiples of an eighth, which no library computes otherwise."""
    i, j = np.arange(ROWS)[:, np.newaxis], np.arange(6)
    X = ((i * 7 + j * 13 + i * j) % 17 - 8) / 8
    y = (i * 5 + np.arange(3) * 3) % 8 / 8
    if name == "labels":
        return X, (i * i % 3)[:, 0], None
    if name == "probabilities":
        return X, np.eye(3)[(i * i % 3)[:, 0]] / 2 + np.array([0.25, 0.125, 0.125]), None
    return X, y, (i % 3)[:, 0] / 2 if name == "regression" else None


def train_on(net, name, **options):
    """Two more epochs."""
    X, y, weights = data(name)
    net.fit(X, y, sample_weight=weights, epochs=EPOCHS, **TRAININGS[name]["fit"], **options)


if __name__ == "__main__":
    for name, training in TRAININGS.items():
        net = fastmlp.MLP(**training["net"])
        if name == "labels":
            net.save(FOLDER / "untrained.safetensors")
        train_on(net, name)
        net.save(FOLDER / f"{name}.safetensors")
        train_on(net, name)
        net.save(FOLDER / f"{name}-later.safetensors")
