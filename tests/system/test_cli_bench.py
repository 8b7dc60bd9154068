"""`fastmlp bench`, and how a shell completes what is typed."""

from __future__ import annotations

import json
import os
import sys

import pytest

from fastmlp import cli, runtime
from fastmlp.cli import bench


@pytest.fixture
def small(monkeypatch):
    """Little work, without PyTorch, whose import takes seconds."""
    monkeypatch.setattr(bench, "WORKS", (bench.Work((3, 4, 1), 8, 2), bench.Work((3, 4, 2), 8, 2)))

    def not_here(*_):
        raise ImportError

    monkeypatch.setitem(bench._RIVALS, "PyTorch", not_here)


def test_every_library_that_is_here_is_measured(small, capsys):
    pytest.importorskip("sklearn")
    assert cli.main(["bench", "--seconds", "0.001", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    compiled = runtime.load_passes()[0] is not None
    assert report["missing"] == ([] if compiled else ["fastmlp"]) + ["PyTorch"]
    for work in report["works"]:
        assert set(work["us"]) == {"NumPy", "scikit-learn", *(["fastmlp"] if compiled else [])}
        assert all(us > 0 for us in work["us"].values())


def test_bench_is_a_table(small, capsys):
    assert cli.main(["bench", "--seconds", "0.001"]) == 0
    out = capsys.readouterr().out
    assert "3-4-2" in out
    assert "not here: " in out


@pytest.mark.parametrize(
    ("work", "n_parameters"), [(bench.Work((3, 4, 1), 8, 2), 21), (bench.Work((3, 4, 2), 8, 2), 26)]
)
def test_pytorch_trains_the_same_network(work, n_parameters, monkeypatch):
    torch = pytest.importorskip("torch")
    made = []
    linear = torch.nn.Linear
    monkeypatch.setattr(torch.nn, "Linear", lambda *sizes: made.append(linear(*sizes)) or made[-1])
    epoch = bench._by_torch(work, *work.data(), None)
    before = [layer.weight.detach().clone() for layer in made]
    epoch()
    assert sum(parameter.numel() for layer in made for parameter in layer.parameters()) == n_parameters
    assert all((layer.weight != old).any() for layer, old in zip(made, before, strict=True))


def test_a_shell_is_told_how_words_go_on(tmp_path):
    pytest.importorskip("argcomplete")
    import subprocess

    answers = tmp_path / "answers"
    for line, wanted, others in [("fastmlp ", {"train", "predict", "bench"}, {"--json"}),
                                 ("fastmlp train data.csv --ta", {"--target ", "--task "}, {"--test"})]:  # fmt: skip
        environment = os.environ | {
            "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
        }  # fmt: skip
        program = "import sys; sys.argv[0] = 'fastmlp'; from fastmlp.cli import main; main()"
        subprocess.run([sys.executable, "-c", program], env=environment, timeout=120, check=True)
        told = {word.strip() for word in answers.read_text().split("\n")}
        assert {word.strip() for word in wanted} <= told
        assert not others & told


def test_without_a_shell_that_asks_nothing_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    with pytest.raises(SystemExit):
        cli.main(["--version"])
