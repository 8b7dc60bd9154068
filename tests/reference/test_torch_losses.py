"""PyTorch's losses, stored (tests/data/make_torch_losses.py): both backends have them, without torch."""

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.spec import LOSSES

STORED = script("make_torch_losses")
TOLERANCE = {"rtol": 1e-11, "atol": 1e-13}
#: Of whole trajectories (test_torch.py).
TRAJECTORIES = {"poisson", "gamma", "tweedie", "log_cosh", "quantile"}


def stored(name):
    with np.load(STORED.PATH) as arrays:
        return {key: arrays[f"{name}/{key}"] for key in ("losses", "gradient")}


def test_every_loss_is_compared():
    assert {loss.name for loss, _ in STORED.CASES.values()} | TRAJECTORIES == set(LOSSES)


@pytest.mark.parametrize("name", STORED.CASES)
def test_losses_and_gradients_are_pytorchs(name, backend):
    loss, _ = STORED.CASES[name]
    signals, y = STORED.problem(name)
    width = STORED.width(name)
    net = fastmlp.MLP([width, width], loss=loss, dtype="float64", backend=backend)
    net.weights, net.biases = [np.eye(width)], [np.zeros(width)]
    wanted = stored(name)
    found = [net.evaluate(signals[[row]], y[[row]])["loss"] for row in range(STORED.ROWS)]
    np.testing.assert_allclose(found, wanted["losses"], **TOLERANCE)
    np.testing.assert_allclose(net.trace(signals, y).sensitivities[-1], wanted["gradient"], **TOLERANCE)
    value, _, (bias,) = net.loss_and_grad(signals, y)
    assert value == pytest.approx(wanted["losses"].mean(), rel=1e-12)
    np.testing.assert_allclose(bias, wanted["gradient"].mean(axis=0), **TOLERANCE)


@pytest.mark.parametrize("name", STORED.CASES)
def test_what_is_stored_is_what_pytorch_says(name):
    pytest.importorskip("torch")
    for key, array in STORED.torch_losses(name).items():
        np.testing.assert_allclose(array, stored(name)[key], **TOLERANCE)
