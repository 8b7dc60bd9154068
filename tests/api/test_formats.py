"""Files that earlier versions wrote: they load, and their training goes on to the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored import script

import fastmlp
from fastmlp.files import load_model, save_model

DATA = Path(__file__).parents[1] / "data"


FORMAT1 = script("make_format1")


def stored(name):
    return FORMAT1.FOLDER / f"{name}.safetensors"


def assert_same(left, right):
    """Two checkpoints, to the last bit."""
    for field in ("spec", "seed", "epoch", "optimizer", "step"):
        assert getattr(left, field) == getattr(right, field)
    assert list(left.tensors) == list(right.tensors)
    for kind, tensors in right.tensors.items():
        for name, array in tensors.items():
            assert left.tensors[kind][name].dtype == array.dtype
            assert left.tensors[kind][name].tobytes() == array.tobytes(), f"{kind} {name}"


def test_the_files_are_small_and_of_format_1():
    files = sorted(FORMAT1.FOLDER.iterdir())
    assert len(files) == 2 * len(FORMAT1.TRAININGS) + 1
    for path in files:
        assert path.stat().st_size < 10_000
        assert b'\\"format\\": 1,' in path.read_bytes()


def test_an_untrained_network_of_format_1(backend):
    net = fastmlp.load(stored("untrained"), backend=backend)
    same = fastmlp.MLP(**FORMAT1.TRAININGS["labels"]["net"], backend=backend)
    assert (net.optimizer, net.n_epochs, net.n_steps, net.seed) == (None, 0, 0, 2**64 - 1)
    assert repr(net) == repr(same)
    for left, right in zip((*net.weights, *net.biases), (*same.weights, *same.biases), strict=True):
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("again", [False, True], ids=["format 1", "saved again"])
@pytest.mark.parametrize("name", FORMAT1.TRAININGS)
def test_training_goes_on_from_format_1(backend, name, again, tmp_path):
    path = stored(name)
    if again:
        fastmlp.load(path, backend=backend).save(tmp_path / "m")
        assert_same(load_model(tmp_path / "m"), load_model(path))
        path = tmp_path / "m"
    net = fastmlp.load(path, backend=backend)
    assert net.optimizer == FORMAT1.TRAININGS[name]["fit"]["optimizer"]
    assert net.n_epochs == FORMAT1.EPOCHS
    FORMAT1.train_on(net, name)
    net.save(tmp_path / "later")
    found, expected = load_model(tmp_path / "later"), load_model(stored(f"{name}-later"))
    if backend == "cython":
        assert_same(found, expected)
    else:  # the same algorithm, in sums of another order
        for kind, tensors in expected.tensors.items():
            for each, array in tensors.items():
                np.testing.assert_allclose(found.tensors[kind][each], array, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("name", FORMAT1.TRAININGS)
def test_what_is_loaded_from_format_1_is_what_is_loaded_from_format_2(name, tmp_path):
    model = load_model(stored(name))
    save_model(tmp_path / "m", model)
    assert b'\\"format\\": 2,' in (tmp_path / "m").read_bytes()
    assert_same(load_model(tmp_path / "m"), model)
