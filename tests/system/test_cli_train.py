"""`fastmlp train`, and what `predict`, `evaluate`, `show` and `export` make of its models."""

from __future__ import annotations

import csv
import json
import re
import signal
import struct
import sys
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators that are trained are scikit-learn's kind")

from fastmlp import cli, tabular
from fastmlp.cli import scores
from fastmlp.cli.files import FileTable, read_table
from fastmlp.cli.problem import as_problem, split
from fastmlp.cli.watching import Watch
from fastmlp.files import load_file, save_file

QUICK = (
    "--effort",
    "fast",
    "--sizes",
    "16",
    "--epochs",
    "12",
    "--batch-size",
    "16",
    "--learning-rate",
    "0.01",
    "--threads",
    "1",
)


@pytest.fixture
def run(capsys, monkeypatch):
    """Call the program as a shell does, without Matplotlib, which takes a second for each report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(scores, "RESAMPLES", 20)

    def call(*arguments):
        code = cli.main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


def people(path, seed, n=300, columns=("age", "job", "since", "pay", "happy")):
    """Write rows whose class depends on a number, a category and a date, each with gaps."""
    random = np.random.default_rng(seed)
    age, job = random.integers(18, 80, n), random.choice(["cook", "smith", "clerk"], n)
    since = np.datetime64("2020-01-01") + random.integers(0, 1000, n)
    pay = age * 10 + (job == "smith") * 300 + random.normal(size=n) * 20
    happy = np.where(pay > 550, "yes", "no")
    table = {
        "age": age.astype(str),
        "job": job,
        "since": since.astype(str),
        "pay": pay.round(2).astype(str),
        "happy": happy,
    }
    for name in ("age", "job", "since"):
        table[name][random.random(n) < 0.05] = ""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(table.get(name, age) for name in columns), strict=True))
    return path


def predictions(out):
    header, *rows = csv.reader(out.splitlines())
    return header, list(map(list, zip(*rows, strict=True)))


# ---- the whole way --------------------------------------------------------------------------------------------------


def test_a_table_of_everything_from_training_to_predictions(run, tmp_path):
    data, test = people(tmp_path / "data.csv", 0), people(tmp_path / "test.csv", 1)
    model = tmp_path / "model.safetensors"
    code, out, err = run("train", data, "--target", "happy", "--ignore", "pay", "--test", test, "--out", model, *QUICK)
    assert (code, err) == (0, "")
    assert re.search(r"accuracy +0\.[89]", out)
    assert re.search(r"\nage +0\.", out)
    assert "240 rows to learn from, 60 held out" in out
    assert "test rows (300)" in out

    # The same columns in another order, with others, an unseen category and a new gap.
    other = people(tmp_path / "other.csv", 2, columns=("x", "since", "job", "age"))
    lines = other.read_text().splitlines()
    lines[1] = "1,,astronaut,"
    other.write_text("\n".join(lines))
    code, out, err = run("predict", model, other)
    assert (code, err) == (0, "")
    header, (labels, no, yes) = predictions(out)
    assert header == ["happy", "p(no)", "p(yes)"]
    assert set(labels) == {"no", "yes"}
    np.testing.assert_allclose(np.array(no, float) + np.array(yes, float), 1.0)
    assert labels == ["yes" if float(p) > 0.5 else "no" for p in yes]

    estimator = tabular.load(model)
    assert list(estimator.feature_names_in_) == ["age", "job", "since"]
    columns = read_table(str(other)).columns
    X = np.array([columns["age"], columns["job"], columns["since"].astype(object)], object).T
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_array_equal(estimator.predict_proba(X)[:, 1], np.array(yes, float))

    code, out, _ = run("show", model)
    assert code == 0
    for said in ("TabularClassifier of 'happy'", "no, yes", "age", "job", "since", "16 -> 2"):
        assert said in out
    assert json.loads(run("show", model, "--json")[1])["columns"] == {
        "age": "number",
        "job": "category",
        "since": "date",
    }


def test_report_for_machines_agrees_with_evaluation(run, tmp_path):
    data, test = people(tmp_path / "data.csv", 0), people(tmp_path / "test.csv", 1)
    model = tmp_path / "pay.safetensors"
    code, out, _ = run("train", data, "--target", "pay", "--validation", test, "--out", model, "--json", *QUICK)
    report = json.loads(out)
    assert (code, report["task"], report["classes"]) == (0, "regression", None)
    assert report["rows"] == {"training": 300, "validation": 300, "test": 0}
    assert next(iter(report["importances"])) in ("age", "happy")
    assert report["columns"]["job"] == {"kind": "category", "gaps": report["columns"]["job"]["gaps"], "different": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data.csv", "pay-history.csv", "pay-report.html", "pay.safetensors", "test.csv",
    ]  # fmt: skip
    code, out, _ = run("evaluate", model, test, "--json")
    assert json.loads(out)["scores"] == report["scores"]["validation"]
    _, out, _ = run("predict", model, test)
    header, (estimates,) = predictions(out)
    true = read_table(str(test)).columns["pay"]
    error = np.sqrt(np.mean((np.array(estimates, float) - true) ** 2))
    assert header == ["pay"]
    assert report["scores"]["validation"]["rmse"]["value"] == pytest.approx(error)
    assert error < 0.8 * true.std()
    history = list(csv.DictReader((tmp_path / "pay-history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in history] == [str(epoch) for epoch in range(1, 13)]
    assert all(float(row["val_rmse"]) > 0 for row in history)


def test_the_same_seed_gives_the_same_model(run, tmp_path):
    data = people(tmp_path / "data.csv", 0)
    texts = []
    for name, options in [("a", ()), ("b", ("--threads", "2")), ("c", ("--seed", "1"))]:
        model = tmp_path / f"{name}.safetensors"
        assert run("train", data, "--target", "happy", "--out", model, *QUICK, *options)[0] == 0
        texts.append(run("predict", model, data)[1])
    assert texts[0] == texts[1] != texts[2]


def test_options_are_the_estimators(run, tmp_path):
    data = people(tmp_path / "data.csv", 0)
    options = ["--sizes", "7,5", "--networks", "2", "--dropout", "0.25", "--bins", "3", "--learning-rate", "0.01"]
    options += ["--metric", "log_loss", "--balanced", "--time", "1m", "--epochs", "2", "--batch-size", "50"]
    assert run("train", data, "--target", "happy", "--out", tmp_path / "model.safetensors", *options)[0] == 0
    told = json.loads(run("show", tmp_path / "model.safetensors", "--json")[1])
    assert (told["networks"], told["sizes"][1:], told["activations"][-1]) == (2, [7, 5, 2], "softmax")
    wanted = {"n_estimators": 2, "dropout": 0.25, "n_bins": 3, "learning_rate": 0.01, "metric": "log_loss", "epochs": 2,
              "batch_size": 50, "class_weight": "balanced", "random_state": 0}  # fmt: skip
    assert {name: told["parameters"][name] for name in wanted} == wanted
    assert 50 < told["parameters"]["time_limit"] <= 60


@pytest.mark.parametrize("kind", ["npz", "npy", "idx", "csv without a header"])
def test_arrays_train_as_well(run, tmp_path, kind):
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (200, 4), np.uint8), np.zeros(200, np.uint8)
    y[X[:, 0] > 127] = 1
    target = "y" if kind == "npz" else "-1"
    data = tmp_path / f"data.{kind[:3]}"
    if kind == "npz":
        np.savez(data, X=X, y=y)
    elif kind == "npy":
        np.save(data, np.c_[X, y])
    elif kind == "idx":
        data.write_bytes(struct.pack(">HBBIII", 0, 8, 3, 200, 2, 2) + X.tobytes())
        target = tmp_path / "labels-idx1-ubyte"
        target.write_bytes(struct.pack(">HBBI", 0, 8, 1, 200) + y.tobytes())
    else:
        np.savetxt(data, np.c_[X, y], fmt="%d", delimiter=",")
    model = tmp_path / "model.safetensors"
    code, out, err = run("train", data, "--target", target, "--out", model, *QUICK)
    assert (code, err) == (0, "")
    assert "2 classes, from 4 columns" in out
    code, out, _ = run("evaluate", model, data, *(("--target", target) if kind == "idx" else ()), "--json")
    assert json.loads(out)["scores"]["accuracy"]["value"] > 0.9


# ---- report.html ----------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page asks for, and its text."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.words, self.open = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.asked += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        assert tag not in ("script", "link", "iframe", "b")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_report_is_a_page_that_asks_nobody(run, tmp_path):
    data = people(tmp_path / "data.csv", 0, columns=("<b>age</b>", "job", "happy"))
    assert run("train", data, "--target", "happy", "--out", tmp_path / "model.safetensors", *QUICK)[0] == 0
    page = Page((tmp_path / "report.html").read_text())
    assert (page.asked, page.open) == ([], [])
    for said in ("<b>age</b>", "balanced accuracy", "Columns that tell most", "pip install 'fastmlp[plot]'"):
        assert said in page.words


@pytest.mark.parametrize("target", ["happy", "pay"])
def test_report_has_its_pictures_in_itself(capsys, tmp_path, target):
    pytest.importorskip("matplotlib")
    data = people(tmp_path / "data.csv", 0)
    assert cli.main(["train", str(data), "--target", target, "--out", str(tmp_path / "model.safetensors"), *QUICK]) == 0
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert len(page.asked) == (3 if target == "happy" else 2)
    assert all(each.startswith("data:image/png;base64,iVBOR") for each in page.asked)
    assert len(text) < 2_000_000
    assert "http" not in text.replace("http-equiv", "")


# ---- what is to be learnt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["a", "b", "a", "c"], ("a", "b", "c")),
        ([0, 1, 1, 0], (0, 1)),
        ([3, -1, 7, 3], (-1, 3, 7)),
        ([0.5, 1.5, 0.5, 1.5], None),
        (range(30), None),
        (["01", "1", "x", "01"], ("01", "1", "x")),
    ],
)
def test_text_and_few_whole_numbers_are_classes(tmp_path, values, classes):
    (tmp_path / "data.csv").write_text("x,y\n" + "".join(f"{n % 3},{value}\n" for n, value in enumerate(values)))
    problem = as_problem(read_table(str(tmp_path / "data.csv")), "y", "auto")
    assert problem.classes == classes
    if classes is not None:
        assert [str(each) for each in problem.labels_of(problem.y)] == [str(each) for each in values]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_rows_held_out_are_a_share_of_each_class(tmp_path, share):
    y = np.repeat(["a", "b", "c", "d"], [100, 50, 10, 1])
    (tmp_path / "data.csv").write_text("x,y\n" + "".join(f"{n},{value}\n" for n, value in enumerate(y)))
    problem = as_problem(read_table(str(tmp_path / "data.csv")), "y", "auto")
    rows, held = split(problem, share, 3)
    assert sorted([*rows, *held]) == list(range(161))
    assert np.abs(np.bincount(problem.y[held], minlength=4)[:3] - share * np.array([100, 50, 10])).max() <= 1
    assert 160 in rows  # the only one of its class
    assert (split(problem, share, 4)[1] != held).any() if len(held) == len(split(problem, share, 4)[1]) else True


def test_columns_that_tell_nothing_are_left_out_with_a_word(run, tmp_path):
    rows = "".join(f"{n},person {n},,{n % 7},{n % 2}\n" for n in range(80))
    (tmp_path / "data.csv").write_text(f",name,nothing,x,y\n{rows}")
    code, out, err = run(
        "train", tmp_path / "data.csv", "--target", "y", "--out", tmp_path / "model.safetensors", *QUICK
    )
    assert code == 0
    assert err.splitlines() == [
        "fastmlp: warning: column 'column 1' is left out: it has no name and counts the rows",
        "fastmlp: warning: column 'name' is left out: nearly every row has a text of its own, such as 'person 0'",
        "fastmlp: warning: column 'nothing' is left out: it is empty in all rows",
    ]
    assert "from 1 column" in out


def test_commas_in_numbers_are_told(run, tmp_path):
    """Decimal commas train as points do, to the same predictions; commas of thousands are text."""
    data = people(tmp_path / "data.csv", 0)
    other = tmp_path / "other.csv"
    with data.open(newline="") as file, other.open("w", newline="") as out:
        csv.writer(out, delimiter=";").writerows([cell.replace(".", ",") for cell in row] for row in csv.reader(file))
    told = []
    for path in data, other:
        code, _, err = run("train", path, "--target", "happy", "--out", tmp_path / f"{path.stem}.safetensors", *QUICK)
        assert code == 0
        told.append(err)
    assert "commas are decimal points in" in told[1]
    assert "commas" not in told[0]
    predictions = [run("predict", tmp_path / f"{path.stem}.safetensors", path)[1] for path in (data, other)]
    assert predictions[0] == predictions[1]


def test_numbers_can_be_categories_as_they_are_written(run, tmp_path):
    rows = "".join(f"0{n % 5},{n % 11},{n % 5 in (1, 3):d}\n" for n in range(100))
    (tmp_path / "data.csv").write_text(f"zip,x,y\n{rows}")
    model = tmp_path / "model.safetensors"
    assert run("train", tmp_path / "data.csv", "--target", "y", "--categorical", "zip", "--out", model, *QUICK)[0] == 0
    assert sorted(tabular.load(model)._encoder.categories[0].values) == ["00", "01", "02", "03", "04"]
    assert json.loads(run("evaluate", model, tmp_path / "data.csv", "--json")[1])["scores"]["accuracy"]["value"] > 0.9


def test_classes_are_compared_as_they_are_written(run, tmp_path):
    """Also with a file in which all of them look like numbers."""
    rows = "".join(f"{n % 3},{('01', '1', 'one')[n % 3]}\n" for n in range(90))
    (tmp_path / "data.csv").write_text(f"x,y\n{rows}")
    (tmp_path / "test.csv").write_text("x,y\n" + "0,01\n1,1\n" * 20)
    model = tmp_path / "model.safetensors"
    code, out, _ = run(
        "train", tmp_path / "data.csv", "--target", "y", "--test", tmp_path / "test.csv", "--categorical", "x", "--out",
        model, "--json", *QUICK,
    )  # fmt: skip
    assert code == 0
    for scores_ in (
        json.loads(out)["scores"]["test"],
        json.loads(run("evaluate", model, tmp_path / "test.csv", "--json")[1])["scores"],
    ):
        assert scores_["accuracy"]["value"] == 1.0


def test_large_numbers_stay_different_as_categories(tmp_path):
    np.save(tmp_path / "data.npy", np.array([[1234567, 0.5], [1234568, np.nan]]))
    table = read_table(str(tmp_path / "data.npy")).like({"column 1": "category", "column 2": "category"})
    assert [column.tolist() for column in table.columns.values()] == [["1234567", "1234568"], ["0.5", None]]
    days = FileTable("data", {"day": np.array(["2026-01-31", "NaT"], "datetime64[us]")}).like({"day": "category"})
    assert days.columns["day"].tolist() == ["2026-01-31T00:00:00.000000", None]


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a,y\n1,2\n3\n", (), r"data\.csv, line 3: 1 values where there are 2 columns"),
        (b"a,y\n\xff,2\n", (), r"data\.csv, line 2, value 1: byte 0xff is not UTF-8"),
        ("a,b\n1,2\n", (), r"data\.csv: --target is 'y', which is no column; there are 'a', 'b'"),
        ("a,y\n1,1\n2,\n3,\n", (), r"data\.csv, line 3, column 'y', and in 1 other rows: is empty, .*; --skip-empty"),
        ("a,y\n1,\n2,\n", (), r"column 'y': is empty in all rows"),
        ("a,y\n1,\n2,\n", ("--skip-empty",), r"column 'y': is empty in all rows"),
        ("a,y\n1,no\n2,no\n", (), r"column 'y': is 'no' in all rows"),
        ("a,y\n1,5\n2,5\n", (), r"column 'y': is '5' in all rows"),
        ("a,y\n1,5\n2,5\n", ("--task", "regression"), r"column 'y': is 5 in all rows"),
        ("a,y\n1,5\n2,x\n", ("--task", "regression"), r"line 3, column 'y': 'x' is not a number"),
        ("a,y\n1,5\n2,inf\n3,2.5\n", (), r"line 3, column 'y': is infinite"),
        ("a,y\ninf,5\n2,6\n", (), r"line 2, column 'a': is infinite"),
        ("a,y\n1,2026-01-01\n2,2026-01-02\n", (), r"column 'y': has dates"),
        ("y\n1\n2\n", (), r"no column is left to predict 'y' from"),
        ("a,y\n,1\n,2\n", (), r"no column is left to predict 'y' from; 'a' is left out: it is empty in all rows"),
        ("a,y\n1,1\n2,0\n", ("--ignore", "b"), r"--ignore is 'b', which is no column"),
        ("a,y\n1,1\n2,0\n", ("--ignore", "y"), r"--ignore has 'y', which is the target"),
        ("a,y\n1,1\n2,0\n", (), r"--validation is 0\.2, which of 2 rows leaves none"),
        ("a,y\n1,1\n2,0\n", ("--validation", "2"), r"--validation is '2', which is neither a share"),
        ("a,y\n1,1\n2,0\n", ("--validation", "none.csv"), r"--validation is 'none\.csv', which is neither"),
        ("a,y\n" + "1,0\n2,1\n" * 9, ("--test", "none.csv"), r"none\.csv: there is no such file"),
        ("a,y\n" + "1,0.5\n2,1.5\n" * 9, ("--balanced",), r"--balanced is for classes"),
        ("a,y\n" + "1,0\n2,1\n" * 9, ("--metric", "beauty"), r"metric must be one of"),
        ("y\n" + "".join(f"name {n}\n" for n in range(60)), (), r"60 different texts cannot be classes"),
    ],
)  # fmt: skip
def test_bad_data_are_an_error_in_one_line_and_nothing_is_written(run, tmp_path, content, options, message):
    path = tmp_path / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = run("train", path, "--target", "y", "--out", tmp_path / "model.safetensors", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "job,since\ncook,2020-01-01\n",
            r"has no column 'age', which the model was trained on; there are 'job', 'since'",
        ),
        ("Age,job,since\n1,cook,2020-01-01\n", r"has no column 'age', .*; did you mean 'Age'\?"),
        ("age,job,since\n1,cook,2020-01-01\nold,cook,\n", r"line 3, column 'age': 'old' is not a number"),
        ("age,job,since\n1,cook,2020-01-01\n2,cook,soon\n", r"line 3, column 'since': 'soon' is not a date"),
        ("age,job,since\n1,cook,5\n", r"line 2, column 'since': '5' is not a date"),
        ("age,job,since\n-inf,cook,2020-01-01\n", r"line 2, column 'age': is infinite"),
    ],
)
def test_other_columns_than_those_of_the_training(run, trained, tmp_path, content, message):
    (tmp_path / "new.csv").write_text(content)
    code, out, err = run("predict", trained, tmp_path / "new.csv", "-o", tmp_path / "out.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err), err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "age,job,since,happy\n1,cook,,maybe\n",
            r"line 2, column 'happy': 'maybe' is none of the model's classes, no, yes",
        ),
        ("age,job,since,happy\n1,cook,,yes\n1,cook,,\n", r"line 3, column 'happy': is empty"),
        ("age,job,since\n1,cook,\n", r"--target is 'happy', which is no column"),
    ],
)
def test_targets_that_cannot_be_compared(run, trained, tmp_path, content, message):
    (tmp_path / "new.csv").write_text(content)
    code, _, err = run("evaluate", trained, tmp_path / "new.csv")
    assert code == 2
    assert re.search(message, err), err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of age, job and since."""
    folder = tmp_path_factory.mktemp("trained")
    data, model = people(folder / "data.csv", 0), folder / "model.safetensors"
    arguments = ["train", data, "--target", "happy", "--ignore", "pay", "--out", model, *QUICK]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        assert cli.main([str(each) for each in arguments]) == 0
    return model


def test_nothing_is_written_over_without_force(run, tmp_path):
    data = people(tmp_path / "data.csv", 0)
    for name in ("model.safetensors", "report.html", "history.csv"):
        (tmp_path / name).write_text("precious")
        code, _, err = run("train", data, "--target", "happy", "--out", tmp_path / "model.safetensors", *QUICK)
        assert (code, f"{name}: is there already; --force writes over it" in err) == (2, True)
        assert (tmp_path / name).read_text() == "precious"
        (tmp_path / name).unlink()
    (tmp_path / "history.csv").write_text("old")
    assert run("train", data, "--target", "happy", "--out", tmp_path / "model.safetensors", "--force", *QUICK)[0] == 0
    assert (tmp_path / "history.csv").read_text().startswith("network,epoch,")
    code, _, err = run("train", data, "--target", "happy", "--out", data, "--force", *QUICK)
    assert (code, "is what is read" in err) == (2, True)


@pytest.mark.parametrize("damage", ['{"target": 1}', "{", '{"target": "y", "columns": ["a"], "kinds": ["number"]}'])
def test_a_damaged_model_is_an_error(run, trained, tmp_path, damage):
    tensors, metadata = load_file(trained)
    save_file(tmp_path / "model.safetensors", tensors, metadata | {"fastmlp.table": damage})
    code, _, err = run("show", tmp_path / "model.safetensors")
    assert (code, err.count("\n"), "model.safetensors: " in err) == (2, 1, True)


def test_a_model_that_an_estimator_saved_itself(run, trained, tmp_path):
    tabular.load(trained).save(tmp_path / "model.safetensors")
    data = people(tmp_path / "data.csv", 5)
    found = [run("predict", model, data)[1] for model in (trained, tmp_path / "model.safetensors")]
    assert found[1] == found[0].replace("happy", "prediction", 1)
    code, out, _ = run("evaluate", tmp_path / "model.safetensors", data, "--target", "happy")
    assert (code, "accuracy" in out) == (0, True)


@pytest.mark.parametrize("form", ["--c", "--onnx"])
def test_encodings_are_not_exported_without_a_word(run, trained, form, tmp_path):
    code, _, err = run("export", trained, form, "-o", tmp_path / "out")
    assert (code, "whose encodings" in err) == (2, True)


def test_what_the_training_warns_of_is_a_line(run, tmp_path, monkeypatch):
    fit = tabular.TabularClassifier.fit

    def warning(*arguments, **options):
        warnings.warn("one of the networks was lost", RuntimeWarning, stacklevel=2)
        return fit(*arguments, **options)

    monkeypatch.setattr(tabular.TabularClassifier, "fit", warning)
    data = people(tmp_path / "data.csv", 0)
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = run("train", data, "--target", "happy", "--out", tmp_path / "model.safetensors", *QUICK)
    assert (code, err) == (0, "fastmlp: warning: one of the networks was lost\n")
    assert warnings.showwarning is shown


# ---- Ctrl-C ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def interrupting(monkeypatch):
    """Let Ctrl-C be pressed so many times at the end of the second epoch; some shells have jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press(times):
        after = Watch.on_epoch_end

        def on_epoch_end(watch, net, logs):
            if logs["epoch"] == 2:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return after(watch, net, logs)

        monkeypatch.setattr(Watch, "on_epoch_end", on_epoch_end)

    yield press
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_the_model_as_far_as_it_came(run, interrupting, tmp_path):
    data, model = people(tmp_path / "data.csv", 0), tmp_path / "model.safetensors"
    before = signal.getsignal(signal.SIGINT)
    interrupting(1)
    code, out, _ = run("train", data, "--target", "happy", "--out", model, *QUICK, "--epochs", "1000")
    assert (code, "stopped by Ctrl-C" in out) == (130, True)
    assert signal.getsignal(signal.SIGINT) is before
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3
    assert run("evaluate", model, data)[0] == 0
    assert "stopped by Ctrl-C" in (tmp_path / "report.html").read_text()


def test_ctrl_c_twice_ends_at_once(run, interrupting, tmp_path):
    data = people(tmp_path / "data.csv", 0)
    before = signal.getsignal(signal.SIGINT)
    interrupting(2)
    assert run("train", data, "--target", "happy", "--out", tmp_path / "model.safetensors", *QUICK)[0] == 130
    assert list(tmp_path.iterdir()) == [data]
    assert signal.getsignal(signal.SIGINT) is before
