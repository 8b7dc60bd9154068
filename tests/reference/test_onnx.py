"""ONNX both ways: sixty random networks against ONNX Runtime and back, and what other libraries export."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.spec import ACTIVATION_NAMES, NORM_NAMES

STORED = Path(__file__).parent.parent / "data" / "onnx"
MODELS = sorted(path.stem for path in STORED.glob("*.onnx"))


@pytest.fixture
def onnx():
    return pytest.importorskip("onnx")


def random_network(number: int) -> fastmlp.MLP:
    """Widths, activations and type by the number; sixty of them have every activation somewhere."""
    rng = np.random.default_rng(number)
    names = [name for name in ACTIVATION_NAMES if name != "exp"]  # what is above it would be beyond all bounds
    sizes = [int(width) for width in rng.integers(1, 30, rng.integers(2, 6))]
    hidden = [names[(7 * number + layer) % len(names)] for layer in range(len(sizes) - 2)]
    if hidden and number % 3 == 0:
        hidden[-1] = (fastmlp.Softplus(2.5), fastmlp.ELU(0.3), fastmlp.LeakyReLU(0.2), "exp")[number // 3 % 4]
    output = "softmax" if number % 2 and sizes[-1] > 1 else names[number % len(names)]
    dtype = "float64" if number % 5 == 0 and "gelu" not in {*hidden, output} else "float32"  # no Erf of doubles there
    net = fastmlp.MLP(sizes, activation=hidden or "relu", output=output, dtype=dtype, seed=number, init="lecun_normal")
    net.biases = [rng.normal(0, 0.1, b.shape) for b in net.biases]
    net.slopes = [rng.normal(0, 0.3, slope.shape) for slope in net.slopes]
    return net


def test_sixty_random_networks_have_every_activation():
    used = {layer.activation.name for number in range(60) for layer in random_network(number).layers}
    assert used == {*ACTIVATION_NAMES, "softmax"}


@pytest.mark.parametrize("number", range(60))
def test_a_random_network_goes_out_and_comes_back(number, onnx, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    net, path = random_network(number), tmp_path / "net.onnx"
    net.to_onnx(path)
    onnx.checker.check_model(str(path), full_check=True)
    X = np.random.default_rng(1).normal(size=(20, net.sizes[0])).astype(net.dtype)
    wanted = net.predict(X)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": X})[0], wanted, rtol=1e-6, atol=1e-6)

    back = fastmlp.from_onnx(path)
    assert back.sizes == net.sizes
    assert back.dtype == net.dtype
    for ours, theirs in zip(
        [*back.weights, *back.biases, *back.slopes], [*net.weights, *net.biases, *net.slopes], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(back.predict(X), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", [None, *NORM_NAMES])
def test_residual_connections_and_norms_go_out(norm, onnx, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    net = fastmlp.MLP([3, 5, 5, 5, 2], activation="gelu", residual=True, norm=norm, seed=0)
    rng = np.random.default_rng(0)
    net.fit(rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), epochs=3)
    net.to_onnx(tmp_path / "net.onnx")
    X = np.random.default_rng(1).normal(size=(20, 3)).astype("float32")
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": X})[0], net.predict(X), rtol=1e-6, atol=1e-6)


def test_normalised_layers_come_back(onnx, tmp_path):
    net = fastmlp.MLP([3, 5, 4, 2], activation="gelu", norm="layer", seed=0)
    rng = np.random.default_rng(0)
    net.fit(rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), epochs=3)
    net.to_onnx(tmp_path / "net.onnx")
    back, X = fastmlp.from_onnx(tmp_path / "net.onnx"), rng.normal(size=(20, 3)).astype("float32")
    assert back.norm == "layer"
    np.testing.assert_array_equal(back.predict(X), net.predict(X))
    behind = [("MatMul", ["x", "W"], ["z"], {}), ("LayerNormalization", ["z", "two", "b"], ["n"], {}),
              ("Mul", ["n", "two"], ["m"], {}), ("Add", ["m", "b"], ["a"], {}),
              ("MatMul", ["a", "W"], ["y"], {})]  # fmt: skip
    constants = {"W": rng.normal(size=(3, 3)), "two": [2, 2, 2], "b": [0, 2, 1]}
    path = tmp_path / "behind.onnx"
    path.write_bytes(model(onnx, behind, constants).SerializeToString())
    z = X @ constants["W"]
    normed = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5) * 2 + constants["b"]
    wanted = (normed * 2 + constants["b"]) @ constants["W"]
    np.testing.assert_allclose(fastmlp.from_onnx(path).predict(X), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_models_of_others_are_read(name, onnx, backend):
    net = fastmlp.from_onnx(STORED / f"{name}.onnx", backend=backend)
    with np.load(STORED / "outputs.npz") as stored:
        X, wanted = stored["X"], stored[name]
    found = net.predict(X)
    if name == "sklearn_two_classes":
        wanted = wanted[:, 1:]
    np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-5, atol=1e-6)


def test_there_are_models_of_pytorch_and_of_scikit_learn():
    assert sum(name.startswith("torch_") for name in MODELS) >= 12
    assert sum(name.startswith("sklearn_") for name in MODELS) >= 4


# --- what cannot be read ---------------------------------------------------------------------------------------------


def model(onnx, nodes, constants=None, columns=3):
    """A model of these nodes, from x to y."""
    helper = onnx.helper
    made = [onnx.numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in (constants or {}).items()]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", columns]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(*node[:3], name=node[0].lower(), **node[3]) for node in nodes],
                              "g", [ends[0]], [ends[1]], made)  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


W = np.arange(9.0).reshape(3, 3)
UNREADABLE = {
    "another operator": ([("Conv", ["x", "W"], ["y"], {})], "node 'conv' \\(Conv\\)"),
    "weights that are computed": ([("MatMul", ["x", "x"], ["y"], {})], "node 'matmul'.* no constant"),
    "weights before rows": ([("MatMul", ["W", "x"], ["y"], {})], "node 'matmul'.* takes its rows"),
    "no product": ([("Relu", ["x"], ["y"], {})], "node 'relu'"),
    "an unknown function": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Abs", ["z"], ["y"], {})],
        "node 'abs'",
    ),
    "a residual connection": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Add", ["z", "x"], ["y"], {})],
        "node 'matmul'|node 'add'",
    ),
    "a limit that relu does not have": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Clip", ["z", "zero", "far"], ["y"], {})],
        "node 'clip'",
    ),
    "outputs as integers": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Cast", ["z"], ["y"], {"to": 7})],
        "node 'cast'",
    ),
    "outputs that are changed once more": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Tanh", ["z"], ["t"], {}), ("Sub", ["t", "b"], ["y"], {})],
        "no product takes the columns",
    ),
    "the complement of a probability": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Sigmoid", ["z"], ["p"], {}), ("Sub", ["one", "p"], ["y"], {})],
        "no product takes the columns",
    ),
    "columns that change places": (
        [("MatMul", ["x", "W"], ["z"], {}), ("ArrayFeatureExtractor", ["z", "b"], ["y"], {})],
        "node 'arrayfeatureextractor'",
    ),
    "outputs twice": (
        [("MatMul", ["x", "W"], ["z"], {}), ("Concat", ["z", "z"], ["y"], {"axis": 1})],
        "node 'concat'",
    ),
    "rows that are normalised with their biases": (
        [("Gemm", ["x", "W", "b"], ["z"], {}), ("LayerNormalization", ["z", "b"], ["y"], {})],
        "node 'layernormalization' .* before a layer's biases",
    ),
    "another epsilon": (
        [("MatMul", ["x", "W"], ["z"], {}), ("LayerNormalization", ["z", "b"], ["y"], {"epsilon": 1e-3})],
        "node 'layernormalization' .* epsilon is not",
    ),
    "outputs that are normalised": (
        [("MatMul", ["x", "W"], ["z"], {}), ("LayerNormalization", ["z", "b"], ["y"], {})],
        "all layers but the last; node 'layernormalization'",
    ),
    "inputs that are normalised": (
        [("LayerNormalization", ["x", "b"], ["z"], {}), ("MatMul", ["z", "W"], ["y"], {})],
        "node 'layernormalization'",
    ),
    "widths that do not fit": (
        [("MatMul", ["x", "W"], ["z"], {}), ("MatMul", ["z", "V"], ["y"], {})],
        "takes 2 columns, and there are 3",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_graph_that_is_no_perceptron_is_an_error_with_the_node(case, onnx, tmp_path):
    nodes, message = UNREADABLE[case]
    path = tmp_path / "model.onnx"
    constants = {"W": W, "V": W[:2], "b": [0, 2, 1], "zero": 0, "one": 1, "far": 20}
    path.write_bytes(model(onnx, nodes, constants).SerializeToString())
    with pytest.raises(ValueError, match=message):
        fastmlp.from_onnx(path)


def test_a_constant_is_subtracted_from_outputs(onnx, tmp_path):
    path = tmp_path / "model.onnx"
    nodes = [("MatMul", ["x", "W"], ["z"], {}), ("Sub", ["z", "b"], ["y"], {})]
    path.write_bytes(model(onnx, nodes, {"W": W, "b": [1, 2, 3]}).SerializeToString())
    assert fastmlp.from_onnx(path).predict([[0, 0, 0]]).tolist() == [[-1, -2, -3]]


def test_two_products_with_nothing_between_them(onnx, tmp_path):
    path = tmp_path / "model.onnx"
    nodes = [("MatMul", ["x", "W"], ["z"], {}), ("Gemm", ["z", "W", "b"], ["y"], {"transB": 1})]
    path.write_bytes(model(onnx, nodes, {"W": W, "b": [1, 2, 3]}).SerializeToString())
    net = fastmlp.from_onnx(path)
    assert [layer.activation.name for layer in net.layers] == ["identity", "identity"]
    np.testing.assert_array_equal(net.predict(np.eye(3)), (W @ W.T + [1, 2, 3]).astype(np.float32))


@pytest.mark.parametrize("name", MODELS[:2])
def test_damaged_files_are_errors(name, onnx, tmp_path):
    content, path = (STORED / f"{name}.onnx").read_bytes(), tmp_path / "model.onnx"
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content[: rng.integers(0, len(content))] if rng.random() < 0.5 else content)
        for place in rng.integers(0, max(1, len(damaged)), 3):
            if damaged:
                damaged[place % len(damaged)] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            fastmlp.from_onnx(path)
        except ValueError as error:
            assert str(path) in str(error)  # others leave a model that can be read


def test_weights_outside_of_the_file_are_refused(onnx, tmp_path):
    made = model(onnx, [("MatMul", ["x", "W"], ["y"], {})], {"W": W})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ValueError, match="model.onnx"):
        fastmlp.from_onnx(tmp_path / "model.onnx")


def test_without_onnx_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"to_onnx needs onnx.* pip install 'fastmlp\[onnx\]'"):
        fastmlp.MLP([2, 1], seed=0).to_onnx(tmp_path / "net.onnx")
    with pytest.raises(ImportError, match=r"from_onnx needs onnx.* pip install 'fastmlp\[onnx\]'"):
        fastmlp.from_onnx(STORED / f"{MODELS[0]}.onnx")
    assert not list(tmp_path.iterdir())
