"""`predict`, `evaluate`, `show` and `export` of networks that `MLP.save` wrote."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import cli
from fastmlp.cli import scores


@pytest.fixture
def run(capsys):
    """Call the program as a shell does; return its exit code, standard output and standard error."""

    def call(*arguments):
        code = cli.main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def network(tmp_path):
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    y = (X[:, 0] > 0) + 1 * (X[:, 1] > 0)
    net = fastmlp.MLP([3, 8, 3], output="softmax", seed=0)
    net.fit(X, y, epochs=20)
    net.save(tmp_path / "net.safetensors")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    return net, X, y


def test_predictions_are_those_of_the_network(run, network, tmp_path):
    net, X, _ = network
    expected = net.predict(X)
    code, out, err = run("predict", tmp_path / "net.safetensors", tmp_path / "data.npz")
    assert (code, err) == (0, "")
    header, *rows = csv.reader(out.splitlines())
    assert header == ["prediction", "p(0)", "p(1)", "p(2)"]
    np.testing.assert_array_equal([int(row[0]) for row in rows], expected.argmax(axis=1))
    np.testing.assert_array_equal(np.array([row[1:] for row in rows], np.float32), expected)

    code, said, _ = run("predict", tmp_path / "net.safetensors", tmp_path / "data.npz", "-o", tmp_path / "out.csv")
    assert (code, said) == (0, f"60 predictions in {tmp_path / 'out.csv'}\n")
    assert (tmp_path / "out.csv").read_text() == out
    code, out, err = run("predict", tmp_path / "net.safetensors", tmp_path / "data.npz", "-o", tmp_path / "out.csv")
    assert (code, out) == (2, "")
    assert "is there already; --force writes over it" in err
    code, out, _ = run("predict", tmp_path / "net.safetensors", tmp_path / "data.npz", "--json")
    assert json.loads(out)["columns"]["prediction"] == [str(label) for label in expected.argmax(axis=1)]


def test_evaluation_is_that_of_the_network(run, network, tmp_path):
    net, X, y = network
    code, out, _ = run("evaluate", tmp_path / "net.safetensors", tmp_path / "data.npz", "--target", "y", "--json")
    found = json.loads(out)
    assert (code, found["rows"]) == (0, 60)
    for name in ("accuracy", "log_loss"):
        score = found["scores"][name]
        assert score["value"] == pytest.approx(net.evaluate(X, y, metrics=[name])[name], rel=1e-6)
        assert score["low"] < score["value"] < score["high"]
    code, out, _ = run("evaluate", tmp_path / "net.safetensors", tmp_path / "data.npz", "--target", "y")
    assert f"{found['scores']['accuracy']['value']:.4g}" in out
    code, _, err = run("evaluate", tmp_path / "net.safetensors", tmp_path / "data.npz")
    assert (code, "pass --target" in err) == (2, True)


def test_the_interval_holds_the_accuracy_of_other_rows_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(scores, "RESAMPLES", 100)
    held = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        right = random.random(200) < 0.8
        outputs = np.stack([right, ~right], axis=1) * 0.8 + 0.1
        score = scores.scores(scores.metrics_of(2)[:1], np.zeros(200, np.int64), outputs)["accuracy"]
        held += score["low"] <= 0.8 <= score["high"]
        assert 0.08 < score["high"] - score["low"] < 0.14  # 2 * 1.96 * sqrt(0.8 * 0.2 / 200) = 0.111
    assert 34 <= held <= 40


def test_names_of_columns_are_those_of_the_frame_that_a_network_learnt_from(run, tmp_path):
    pd = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(50, 2))
    net = fastmlp.MLP([2, 4, 1], seed=0)
    net.fit(pd.DataFrame(X, columns=["width", "height"]), X[:, 0], epochs=2)
    net.save(tmp_path / "net.safetensors")
    np.savetxt(
        tmp_path / "data.csv", np.c_[X[:, 1], X], delimiter=",", header="height,other,again", comments="", fmt="%.17g"
    )
    code, _, err = run("predict", tmp_path / "net.safetensors", tmp_path / "data.csv")
    assert (code, "has no column 'width', which the model was trained on" in err) == (2, True)
    (tmp_path / "data.csv").write_text("height,other,width\n" + "".join(f"{b!r},x,{a!r}\n" for a, b in X.tolist()))
    code, out, _ = run("predict", tmp_path / "net.safetensors", tmp_path / "data.csv")
    assert code == 0
    np.testing.assert_array_equal(np.array(out.split()[1:], np.float32), net.predict(X)[:, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "has 2 columns to predict from, and the network of .* takes 3"),
        ("a,b,c\n1,2,3\n1,,3\n", "line 3, column 'b': is empty"),
        ("a,b,c\n1,2,3\n1,x,3\n", "column 'b': has no numbers"),
    ],
)
def test_what_a_network_cannot_take(run, network, tmp_path, content, message):
    (tmp_path / "data.csv").write_text(content)
    code, out, err = run("predict", tmp_path / "net.safetensors", tmp_path / "data.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err)


def test_show(run, network, tmp_path):
    net = network[0]
    code, out, _ = run("show", tmp_path / "net.safetensors")
    assert code == 0
    assert "3 -> 8" in out
    assert f"{net.n_parameters}" in out
    assert json.loads(run("show", tmp_path / "net.safetensors", "--json")[1])["sizes"] == [3, 8, 3]


def test_export(run, network, tmp_path):
    code, out, _ = run("export", tmp_path / "net.safetensors", "--c", "--name", "corners")
    assert (code, "net.h" in out) == (0, True)
    assert "void corners_predict(" in (tmp_path / "net.h").read_text()
    code, _, err = run("export", tmp_path / "net.safetensors", "--c")
    assert (code, "net.h: is there already" in err) == (2, True)
    onnx = pytest.importorskip("onnx")
    assert run("export", tmp_path / "net.safetensors", "--onnx", "-o", tmp_path / "other.onnx")[0] == 0
    onnx.checker.check_model(onnx.load(tmp_path / "other.onnx"))


@pytest.mark.parametrize("command", ["predict", "evaluate", "show", "export"])
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert f"\n  fastmlp {command} " in capsys.readouterr().out
