"""Data as other libraries hold it: pandas, polars, PyTorch. What becomes of it is what becomes of the same array."""

import numpy as np
import pytest
from conftest import parameters

import fastmlp

X = np.arange(24, dtype=np.float64).reshape(8, 3) / 24
Y = np.arange(8) % 2


def trained(X, y):
    net = fastmlp.MLP([3, 4, 2], output="softmax", dtype="float64", seed=1)
    net.fit(X, y, epochs=2, batch_size=3, progress=False)
    return parameters(net) + net.predict(X).tobytes()


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abc"))
    assert trained(frame, pandas.Series(Y)) == trained(X, Y)
    assert trained(frame[::2], pandas.Series(Y)[::2]) == trained(X[::2], Y[::2])
    with pytest.raises(TypeError, match=r"X\['b'\] has dtype str; it must have real numbers"):
        fastmlp.MLP([2, 1]).predict(pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


def test_polars():
    polars = pytest.importorskip("polars")
    frame, labels = polars.DataFrame(X, schema=list("abc")), polars.Series(Y)
    assert trained(frame, labels) == trained(X, Y)
    assert trained(frame[::2], labels[::2]) == trained(X[::2], Y[::2])
    with pytest.raises(TypeError, match=r"X\['b'\] has dtype String; it must have real numbers"):
        fastmlp.MLP([2, 1]).predict(polars.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


def test_torch():
    torch = pytest.importorskip("torch")
    assert trained(torch.tensor(X), torch.tensor(Y)) == trained(X, Y)
    assert trained(torch.tensor(X)[::2], torch.tensor(Y)[::2]) == trained(X[::2], Y[::2])
    with pytest.raises(TypeError, match="X .*requires grad"):
        fastmlp.MLP([3, 1]).predict(torch.tensor(X, requires_grad=True))
