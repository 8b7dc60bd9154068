"""Write the models in this folder's onnx/: perceptrons as PyTorch and scikit-learn export them, and what they compute.

Needs torch, scikit-learn, skl2onnx and onnxruntime: python tests/data/make_onnx.py
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

FOLDER = Path(__file__).parent / "onnx"
ROWS, COLUMNS = 12, 6


def of_sklearn(X: np.ndarray) -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    k3, k2, many = rng.integers(0, 3, len(X)), rng.integers(0, 2, len(X)), rng.integers(0, 2, (len(X), 3))
    options = {"hidden_layer_sizes": (5, 4), "max_iter": 4, "random_state": 0}
    models = {
        "sklearn_classes": make_pipeline(StandardScaler(), MLPClassifier(activation="tanh", **options)).fit(X, k3),
        "sklearn_two_classes": MLPClassifier(activation="relu", **options).fit(X, k2),
        "sklearn_labels": MLPClassifier(activation="logistic", **options).fit(X, many),
        "sklearn_regressor": make_pipeline(MinMaxScaler(), MLPRegressor(activation="identity", **options)).fit(X, k3),
    }
    return {name: to_onnx(model, X[:1]).SerializeToString() for name, model in models.items()}


def of_torch(X: np.ndarray) -> dict[str, bytes]:
    torch.manual_seed(0)
    activations = {
        "gelu": nn.GELU(),
        "gelu_tanh": nn.GELU("tanh"),
        "silu": nn.SiLU(),
        "mish": nn.Mish(),
        "softplus": nn.Softplus(beta=3.0),
        "hardswish": nn.Hardswish(),
        "hardsigmoid": nn.Hardsigmoid(),
        "elu": nn.ELU(0.5),
        "selu": nn.SELU(),
        "leaky_relu": nn.LeakyReLU(0.2),
        "relu6": nn.ReLU6(),
        "softsign": nn.Softsign(),
    }
    written = {}
    for name, activation in activations.items():
        layers = [nn.Linear(COLUMNS, 5), activation, nn.Dropout(0.2), nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(4, 3), nn.Softmax(dim=-1)).train()
        model(torch.tensor(X))  # statistics for the normalisation
        path = FOLDER / "now.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
            torch.onnx.export(model.eval(), (torch.tensor(X[:2]),), path, dynamo=False, **names)
        written[f"torch_{name}"] = path.read_bytes()
        path.unlink()
    return written


def outputs(content: bytes, X: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: X})[-1]
    return np.array([list(row.values()) for row in found]) if isinstance(found, list) else found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    X = np.random.default_rng(0).normal(1, 3, size=(200, COLUMNS)).astype(np.float32)
    stored = {"X": X[:ROWS]}
    for name, content in (of_sklearn(X) | of_torch(X)).items():
        (FOLDER / f"{name}.onnx").write_bytes(content)
        stored[name] = outputs(content, X[:ROWS])
    np.savez_compressed(FOLDER / "outputs.npz", **stored)
