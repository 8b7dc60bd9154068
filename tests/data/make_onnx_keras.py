"""Write the models of Keras in this folder's onnx/, and what they compute for the rows that make_onnx.py stored.

Needs tensorflow, tf2onnx and onnxruntime: python tests/data/make_onnx_keras.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx
from keras import layers

FOLDER = Path(__file__).parent / "onnx"


def models() -> dict[str, keras.Model]:
    keras.utils.set_random_seed(0)
    classes = [layers.Dense(5, "elu"), layers.Dense(4, "swish"), layers.Dropout(0.3), layers.Dense(3, "softmax")]
    regression = [layers.Dense(5, "relu"), layers.BatchNormalization(), layers.Dense(4, "leaky_relu"), layers.Dense(2)]
    images = [layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(3, "sigmoid")]
    return {
        "keras_classes": keras.Sequential([keras.Input((6,)), layers.Rescaling(0.25, -0.1), *classes]),
        "keras_regressor": keras.Sequential([keras.Input((6,)), *regression]),
        "keras_images": keras.Sequential([keras.Input((2, 3)), *images]),
    }


if __name__ == "__main__":
    with np.load(FOLDER / "outputs.npz") as stored:
        arrays = dict(stored)
    X = arrays["X"]
    for name, model in models().items():
        shape = (-1, *model.input_shape[1:])
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="x")]
        function = tf.function(model, input_signature=signature)
        written, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
        (FOLDER / f"{name}.onnx").write_bytes(written.SerializeToString())
        session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
        (arrays[name],) = session.run(None, {session.get_inputs()[0].name: X.reshape(shape)})
        np.testing.assert_allclose(arrays[name], model(X.reshape(shape)), rtol=1e-4, atol=1e-5)
    np.savez_compressed(FOLDER / "outputs.npz", **arrays)
