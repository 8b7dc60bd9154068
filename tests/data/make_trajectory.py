"""Writes trajectory.npz: what a few short trainings give, to the last bit, on every processor and in every version.

Run it (python tests/data/make_trajectory.py) only after a change of the arithmetic that is meant, and say so in
CHANGELOG: models trained before and after are no longer the same.
"""

from pathlib import Path

import numpy as np

import fastmlp
from fastmlp.reference import random

PATH = Path(__file__).with_name("trajectory.npz")
ROWS = 61
SUBSTREAM = 77

#: Together: every activation, loss, optimizer and dtype, labels and probabilities, weights, a last smaller batch.
TRAININGS = {
    "labels": {
        "net": {"sizes": [19, 35, 18, 4], "activation": "relu", "output": "softmax", "dtype": "float32", "seed": 1},
        "fit": {"optimizer": fastmlp.Adam(0.01), "batch_size": 8},
    },
    "probabilities": {
        "net": {
            "sizes": [19, 33, 17, 9, 4], "activation": ["tanh", "logistic", "softplus"], "output": "softmax",
            "dtype": "float64", "seed": 2,
        },
        "fit": {"optimizer": fastmlp.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3), "batch_size": 7},
    },
    "multilabel": {
        "net": {
            "sizes": [19, 20, 20, 4], "activation": ["elu", fastmlp.LeakyReLU(0.1)], "output": "logistic",
            "dtype": "float32", "seed": 3,
        },
        "fit": {"optimizer": fastmlp.SGD(0.05), "batch_size": 1},
    },
    "regression": {
        "net": {"sizes": [19, 40, 4], "activation": "tanh", "output": "identity", "dtype": "float64", "seed": 4},
        "fit": {"optimizer": fastmlp.Adam(0.003, weight_decay=0.01), "batch_size": 500},
    },
    "sign": {
        "net": {"sizes": [19, 24, 4], "activation": "sign", "output": "exp", "loss": "poisson", "dtype": "float32",
                "seed": 5},
        "fit": {"optimizer": fastmlp.SGD(0.01, momentum=0.5), "batch_size": 30},
    },
    "smooth": {
        "net": {
            "sizes": [19, 20, 17, 9, 8, 4], "activation": ["gelu", "gelu_tanh", "silu", "mish"], "output": "identity",
            "dtype": "float32", "seed": 6,
        },
        "fit": {"optimizer": fastmlp.NAdam(0.01, weight_decay=0.01), "batch_size": 9},
    },
    "smooth in float64": {
        "net": {
            "sizes": [19, 9, 17, 9, 8, 4], "activation": ["mish", "silu", "gelu_tanh", "gelu"], "output": "softmax",
            "loss": "squared_error", "dtype": "float64", "seed": 7,
        },
        "fit": {"optimizer": fastmlp.AdamW(0.01, weight_decay=0.1), "batch_size": 7},
    },
    "limited": {
        "net": {
            "sizes": [19, 20, 17, 9, 8, 4], "activation": ["softsign", "relu6", "hardtanh", "hard_swish"],
            "output": "hard_sigmoid", "dtype": "float32", "seed": 8,
        },
        "fit": {"optimizer": fastmlp.RMSprop(0.01, momentum=0.5, centered=True), "batch_size": 8},
    },
    "selu": {
        "net": {
            "sizes": [19, 20, 17, 4], "activation": ["selu", fastmlp.Softplus(2.0)], "output": "identity",
            "dtype": "float64", "seed": 9,
        },
        "fit": {"optimizer": fastmlp.SGD(0.01, momentum=0.5, dampening=0.2), "batch_size": 8},
    },
    "prelu": {
        "net": {
            "sizes": [19, 20, 17, 4], "activation": [fastmlp.PReLU(per_unit=False), "prelu"], "output": "prelu",
            "dtype": "float32", "seed": 13,
        },
        "fit": {"optimizer": fastmlp.Adam(0.01), "batch_size": 8},
    },
} | {
    loss.name: {
        "net": {"sizes": [19, 17, 4], "activation": "relu", "loss": loss, "dtype": dtype, "seed": 11},
        "fit": {"optimizer": fastmlp.Adam(0.01), "batch_size": 8},
    }
    for loss, dtype in [
        (fastmlp.AbsoluteError(), "float32"), (fastmlp.Huber(0.3), "float64"), (fastmlp.LogCosh(), "float32"),
        (fastmlp.Quantile(0.8), "float64"), (fastmlp.Gamma(), "float32"), (fastmlp.Tweedie(1.3), "float64"),
        (fastmlp.Hinge(), "float32"), (fastmlp.SquaredHinge(reduction="mean"), "float64"),
        (fastmlp.PerceptronCriterion(), "float32"), (fastmlp.MultiHinge(), "float64"), (fastmlp.Focal(), "float32"),
        (fastmlp.BinaryFocal(1.5), "float64"), (fastmlp.CrammerSinger(), "float32"), (fastmlp.Cosine(), "float64"),
        (fastmlp.GaussianNLL(), "float32"),
    ]
} | {
    f"{loss.name} with parameters": {
        "net": {"sizes": [19, 17, 4], "activation": "relu", "loss": loss, "dtype": dtype, "seed": 12},
        "fit": {"optimizer": fastmlp.Adam(0.01), "batch_size": 8},
    }
    for loss, dtype in [
        (fastmlp.CrossEntropy(label_smoothing=0.1), "float32"),
        (fastmlp.BinaryCrossEntropy(label_smoothing=0.1, pos_weight=3.0), "float64"),
    ]
} | {
    optimizer.name: {
        "net": {"sizes": [19, 17, 4], "activation": "tanh", "output": "identity", "dtype": dtype, "seed": 10},
        "fit": {"optimizer": optimizer, "batch_size": 61 if optimizer.name == "rprop" else 8},
    }
    for optimizer, dtype in [
        (fastmlp.AMSGrad(0.01), "float32"), (fastmlp.RAdam(0.01), "float64"), (fastmlp.AdaMax(0.01), "float32"),
        (fastmlp.Adagrad(0.01, learning_rate_decay=0.1), "float64"), (fastmlp.Adadelta(), "float32"),
        (fastmlp.Lion(0.01, weight_decay=0.1), "float64"), (fastmlp.Rprop(), "float32"),
        (fastmlp.ScheduleFreeAdamW(0.01, weight_decay=0.1), "float32"),
        (fastmlp.Muon(0.01, weight_decay=0.1), "float32"),
    ]
}  # fmt: skip


def data(name):
    """X, y and sample weights from our own generator: NumPy's streams may change between its versions."""
    X = random.normal(9, random.SPLIT, SUBSTREAM, ROWS * 19).reshape(ROWS, 19)
    y = random.uniform(9, random.SPLIT, SUBSTREAM + 1, ROWS * 4).reshape(ROWS, 4)
    if name in {"labels", "multi_hinge", "crammer_singer", "cross_entropy with parameters"}:
        return X, y.argmax(axis=1), None
    if name in {"probabilities", "focal"}:
        return X, y / y.sum(axis=1, keepdims=True), None
    y = y[:, : fastmlp.spec.as_loss(TRAININGS[name]["net"].get("loss", "squared_error")).target_width(4)]
    weights = np.floor(random.uniform(9, random.SPLIT, SUBSTREAM + 2, ROWS) * 3)
    return X, y, weights if name == "regression" else None


def trajectory(name, **options):
    """Losses of the epochs, all parameters and the predictions after three epochs."""
    net = fastmlp.MLP(**TRAININGS[name]["net"])
    X, y, weights = data(name)
    history = net.fit(X, y, sample_weight=weights, epochs=3, **TRAININGS[name]["fit"], **options)
    return {
        "loss": np.array(history.loss),
        "parameters": np.concatenate([np.ravel(a) for a in (*net.weights, *net.biases, *net.slopes)]),
        "predictions": net.predict(X[:9]),
    }


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in TRAININGS for key, value in trajectory(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
