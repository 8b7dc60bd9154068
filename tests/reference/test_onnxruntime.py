"""Predictions against ONNX Runtime's of the same network, for every activation that ONNX has."""

import numpy as np
import pytest

import fastmlp

#: Our name: ONNX's operator and its attributes.
OPERATORS = {
    "identity": ("Identity", {}),
    "sign": ("Sign", {}),
    "logistic": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "elu": ("Elu", {"alpha": 0.7}),
    "softplus": ("Softplus", {}),
    "selu": ("Selu", {}),
    "softsign": ("Softsign", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_swish": ("HardSwish", {}),
    "exp": ("Exp", {}),
    "softmax": ("Softmax", {"axis": 1}),
}


def activation(name):
    made = {"leaky_relu": fastmlp.LeakyReLU, "elu": fastmlp.ELU}
    return made[name](OPERATORS[name][1]["alpha"]) if name in made else name


def session(net):
    """ONNX Runtime with the network's layers as Gemm and an operator each."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    helper, nodes, constants, flowing = onnx.helper, [], [], "x"
    for number, (layer, W, b) in enumerate(zip(net.layers, net.weights, net.biases, strict=True)):
        for name, array in ((f"W{number}", W), (f"b{number}", b)):
            constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        operator, attributes = OPERATORS[layer.activation.name]
        nodes.append(helper.make_node("Gemm", [flowing, f"W{number}", f"b{number}"], [f"z{number}"]))
        nodes.append(helper.make_node(operator, [f"z{number}"], [f"a{number}"], **attributes))
        flowing = f"a{number}"
    ends = [(name, ["n", width]) for name, width in (("x", net.sizes[0]), (flowing, net.sizes[-1]))]
    inputs, outputs = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in ends)
    graph = helper.make_graph(nodes, "mlp", [inputs], [outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", OPERATORS)
def test_predictions_are_those_of_onnxruntime(name, backend):
    net = fastmlp.MLP([7, 20, 11, 5], activation=[activation(name), "tanh"], seed=3, backend=backend)
    X = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    (wanted,) = session(net).run(None, {"x": X})
    np.testing.assert_allclose(net.predict(X), wanted, rtol=1e-5, atol=1e-6)
