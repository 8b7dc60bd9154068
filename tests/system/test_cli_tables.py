"""Files as the command line reads them: what columns hold, and where the fault of a bad one is."""

from __future__ import annotations

import csv
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fastmlp.cli.files import kind_of, read_table, text_file
from fastmlp.cli.outputs import csv_text, refuse_existing, write

NAN = float("nan")


def read(folder: Path, content: str | bytes, name: str = "data.csv", **options):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(str(path), **options)


# ---- text -----------------------------------------------------------------------------------------------------------


def test_columns_are_numbers_texts_and_dates_with_gaps(tmp_path):
    table = read(
        tmp_path,
        "n,text,day,time,empty\n"
        '1.5, Ann ,2026-01-31,2026-01-31 12:30,\n\n'
        '?,"Bob, ""Jr""",NA,,\n'
        "-2e3,Ann,2025-12-01,2026-02-01T00:00:01.5Z,null\n",
    )  # fmt: skip
    np.testing.assert_array_equal(table.columns["n"], [1.5, NAN, -2000.0])
    assert table.columns["text"].tolist() == ["Ann", 'Bob, "Jr"', "Ann"]
    assert table.columns["text"][0] is table.columns["text"][2]
    days = np.array(["2026-01-31", "NaT", "2025-12-01"], "datetime64[us]")
    np.testing.assert_array_equal(table.columns["day"], days)
    assert table.columns["time"][2] == np.datetime64("2026-02-01T00:00:01.5")
    np.testing.assert_array_equal(table.columns["empty"], [NAN, NAN, NAN])
    assert table.lines.tolist() == [2, 4, 5]


@pytest.mark.parametrize(
    ("column", "kind"),
    [("1\n2_0", "O"), ("2026-02-30\n2026-02-28", "O"), ("inf\n1", "f"), ("01\n2", "f"), ("2026-01-01\nsoon", "O")],
)
def test_what_only_looks_like_a_number_or_a_date_is_text(tmp_path, column, kind):
    assert read(tmp_path, f"a\n{column}\n").columns["a"].dtype.kind == kind


@pytest.mark.parametrize("cells", [1, 6, 1 << 16])
def test_a_column_may_show_late_that_it_is_text(tmp_path, monkeypatch, cells):
    monkeypatch.setattr(text_file, "CELLS", cells)
    rows = "".join(f"{number},0{number}\n" for number in range(9))
    table = read(tmp_path, f"a,b\n{rows}9,late\n")
    np.testing.assert_array_equal(table.columns["a"], np.arange(10.0))
    assert table.columns["b"].tolist() == [*(f"0{number}" for number in range(9)), "late"]
    assert table.lines.tolist() == list(range(2, 12))


def test_a_line_may_go_on_below_within_quotes(tmp_path):
    table = read(tmp_path, 'a,"b\nc"\n1,"x\r\ny"\n2,z\n')
    assert list(table.columns) == ["a", "b\nc"]
    assert table.lines.tolist() == [3, 5]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings_that_tell_themselves(tmp_path, delimiter, pack, encoding):
    text = f"número{delimiter}b\n1{delimiter}é\n"
    table = read(tmp_path, pack(text.encode(encoding)))
    assert list(table.columns) == ["número", "b"]
    assert table.columns["b"][0] == "é"


def test_a_file_of_numbers_alone_has_no_header(tmp_path):
    table = read(tmp_path, "1,2\n3,4\n")
    np.testing.assert_array_equal(table.columns["column 2"], [2.0, 4.0])
    assert table.lines.tolist() == [1, 2]
    assert [table.find(each, "--target") for each in ("1", "-1", "column 1")] == ["column 1", "column 2", "column 1"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("header", ["a{0}b\n", ""])
def test_a_comma_may_be_the_decimal_point_where_none_is_between_fields(tmp_path, delimiter, header):
    table = read(tmp_path, (header + "1,5{0}2,50\n-3{0}1,e0\n{0}0,1e-3\n").replace("1,e0", ",5").format(delimiter))
    first, second = table.columns.values()
    np.testing.assert_array_equal(first, [1.5, -3, np.nan])
    np.testing.assert_array_equal(second, [2.5, 0.5, 1e-4])
    names = list(table.columns)
    (told,) = table.warnings
    assert told.endswith(f"data.csv: commas are decimal points in {names[0]!r} (1,5), {names[1]!r} (2,50)")


@pytest.mark.parametrize("cells", [2, 1 << 16])  # of a block: the second row is in another one, or not
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("a;b\n1,5;0\n2.5;0\n", "category"),  # a point and a comma: one of them is for thousands
        ("a;b\n2.5;0\n1,5;0\n", "category"),
        ("a;b\n1.234,5;0\n2,5;0\n", "category"),
        ('a,b\n"1,234",0\n"2,345",0\n', "category"),
        ("a;b\n1;0\n2,5;0\n", "number"),
        ("a;b\n1_0,5;0\n2,5;0\n", "category"),
    ],
)
def test_numbers_with_commas_that_are_no_decimal_points_are_text_with_a_word(
    tmp_path, monkeypatch, content, kind, cells
):
    monkeypatch.setattr(text_file, "CELLS", cells)
    table = read(tmp_path, content)
    assert kind_of(table.columns["a"]) == kind
    assert kind_of(table.columns["b"]) == "number"
    told = "_" not in content
    assert len(table.warnings) == told
    if told and kind == "category":
        assert "column 'a': is text, such as '" in table.warnings[0]
    if kind == "category":
        with pytest.raises(ValueError, match=r"line [23], column 'a': '.*' is not a number"):
            read(tmp_path, content, kinds={"a": "number"})
    assert read(tmp_path, content, kinds={"a": "category"}).warnings == []


def test_another_encoding_has_to_be_said(tmp_path):
    assert read(tmp_path, b"a,b\n1,caf\xe9\n", encoding="latin-1").columns["b"][0] == "café"
    with pytest.raises(ValueError, match="which Python does not know"):
        read(tmp_path, "a\n1\n", encoding="klingon")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n\n3\n", r"line 4: 1 values where there are 2 columns; there is nothing for column 'b'"),
        ("a,b\n1,2\n3,4,five\n", r"line 3: 3 values where there are 2 columns; the first beyond column 'b' is 'five'"),
        ('a,b\n1,2\n3,"x\n4,y\n', r"line 3: begins with a quote that is never closed"),
        pytest.param('a,b\n3,"x\n' + 70_000 * "4,y\n", r"line 2: begins with a quote that is never closed", id="long"),
        ("a,b,a\n1,2,3\n", r"line 1: two columns are called 'a'"),
        (b"a,b\n1,x\n2,caf\xe9\n", r"line 3, value 2: byte 0xe9 is not UTF-8.*try --encoding cp1252"),
        ("", r"the file is empty"),
        ("\n \n", r"the file is empty"),
        ("a,b\n", r"the file has no rows below its header"),
        pytest.param(gzip.compress(b"a\n" + bytes(range(48, 58)) * 99)[:-12], r"corrupt gzip", id="half a gzip"),
    ],
)
def test_a_bad_file_is_told_by_its_name_and_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"data\.csv(: |, ){message}"):
        read(tmp_path, content)


def test_columns_are_read_as_a_model_was_trained_on_them(tmp_path):
    kinds = {"b": "category", "a": "number", "c": "date"}
    table = read(tmp_path, "a,b,x,c\n1,01,no,2026-01-01\n2,,no,\n", kinds=kinds).like(kinds)
    assert list(table.columns) == ["b", "a", "c"]
    assert table.columns["b"].tolist() == ["01", None]
    assert table.columns["c"].dtype.kind == "M"
    for content, message in [
        ("a,c\n1,2026-01-01\n", "has no column 'b', which the model was trained on; there are 'a', 'c'"),
        ("a,b,c\n1,x,2026-01-01\n\n2,x,soon\n", "line 4, column 'c': 'soon' is not a date"),
        ("a,b,c\n1,x,\ntwo,x,\n", "line 3, column 'a': 'two' is not a number"),
    ]:
        with pytest.raises(ValueError, match=message):
            read(tmp_path, content, kinds=kinds).like(kinds)
    gaps = read(tmp_path, "a,b,c\n,,\n", kinds=kinds).like(kinds)
    assert [gaps.columns[name].dtype.kind for name in kinds] == ["O", "f", "M"]


def test_a_column_that_is_not_there_gets_advice(tmp_path):
    table = read(tmp_path, "area,price\n1,2\n")
    with pytest.raises(ValueError, match=r"data\.csv: --target is 'Price', which is no column; did you mean 'price'\?"):
        table.find("Price", "--target")
    for number in ("3", "-3", "0"):
        with pytest.raises(ValueError, match="which is no column; there are 'area', 'price'"):
            table.find(number, "--target")


# ---- arrays ---------------------------------------------------------------------------------------------------------


def test_arrays_of_numpy(tmp_path):
    X, y = np.arange(12.0, dtype=np.float32).reshape(2, 2, 3), np.array(["b", "a"])
    np.save(tmp_path / "X.npy", X)
    np.testing.assert_array_equal(read_table(str(tmp_path / "X.npy")).columns["column 6"], [5, 11])
    for names in (("X", "y"), ("x_train", "y_train")):
        np.savez(tmp_path / "both.npz", **dict(zip(names, (X, y), strict=True)))
        table = read_table(str(tmp_path / "both.npz"))
        assert table.columns["y"].tolist() == ["b", "a"]
        assert len(table.columns) == 7
    np.savez(tmp_path / "one.npz", anything=X)
    assert len(read_table(str(tmp_path / "one.npz")).columns) == 6


def test_idx_images_are_rows_of_pixels(tmp_path):
    pixels = bytes(range(12))
    table = read(tmp_path, struct.pack(">HBBIII", 0, 8, 3, 3, 2, 2) + pixels, name="train-images-idx3-ubyte")
    np.testing.assert_array_equal(table.columns["column 4"], [3, 7, 11])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [1], "b": [2]}, "has arrays 'a', 'b'; wanted are X and y"),
        ({"X": [[1], [2]], "y": [1, 2, 3]}, r"y has shape \(3,\) for the 2 rows of X"),
        ({"X": [[1j]], "y": [1]}, "has dtype complex128"),
        ({"X": np.array([None])}, "Object arrays cannot be loaded"),
    ],
)
def test_bad_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match=rf"data\.npz.*{message}"):
        read_table(str(tmp_path / "data.npz"))


def test_what_cannot_be_read_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv: there is no such file"):
        read_table(str(tmp_path / "none.csv"))
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_table(str(tmp_path))
    for name in ("data.npy", "data.npz"):
        with pytest.raises(ValueError, match=name):
            read(tmp_path, "no array", name=name)
    with pytest.raises(ValueError, match="read are CSV"):
        read(tmp_path, "", name="data.xlsx")


# ---- Parquet --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_parquet_is_read_alike_by_either_library(tmp_path, monkeypatch, library):
    pl = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    day = np.datetime64("2026-01-31T12:30").item()
    columns = {
        "n": [1, None, 3], "f": [0.5, NAN, None], "yes": [True, False, None], "text": ["a", None, "a"],
        "time": [day, None, day], "day": [day.date(), None, day.date()],
    }  # fmt: skip
    frame = pl.DataFrame(columns).with_columns(pl.col("text").cast(pl.Categorical).alias("named"))
    path = tmp_path / "data.parquet"
    frame.write_parquet(path)
    if library == "polars":
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    table = read_table(str(path))
    np.testing.assert_array_equal(table.columns["n"], [1, NAN, 3])
    np.testing.assert_array_equal(table.columns["f"], [0.5, NAN, NAN])
    np.testing.assert_array_equal(table.columns["yes"], [1, 0, NAN])
    assert table.columns["text"].tolist() == table.columns["named"].tolist() == ["a", None, "a"]
    np.testing.assert_array_equal(table.columns["time"], np.array([day, "NaT", day], "datetime64[us]"))
    np.testing.assert_array_equal(table.columns["day"], np.array([day.date(), "NaT", day.date()], "datetime64[us]"))
    with pytest.raises(ValueError, match=r"bad\.parquet: not a Parquet file"):
        read(tmp_path, "no Parquet", name="bad.parquet")


def test_columns_of_one_name_are_refused_in_parquet_too(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(pa.table([pa.array([1])] * 3, names=["a", "b", "a"]), path)
    with pytest.raises(ValueError, match=r"data\.parquet: two columns are called 'a'"):
        read_table(str(path))


def test_parquet_without_a_library_says_what_to_install(tmp_path, monkeypatch):
    for name in ("pyarrow", "polars"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[arrow\]'"):
        read(tmp_path, "", name="data.parquet")


# ---- writing --------------------------------------------------------------------------------------------------------


def test_written_numbers_are_read_as_the_same(tmp_path):
    random = np.random.default_rng(0)
    columns = {
        "a,b": random.random(20),
        "single": random.random(20, np.float32),
        "text": np.array(list('x,y"z') * 4, object),
    }
    text = csv_text(columns)
    assert max(map(len, (row[1] for row in csv.reader(text.splitlines()[1:])))) <= 14
    table = read(tmp_path, text)
    np.testing.assert_array_equal(table.columns["a,b"], columns["a,b"])
    np.testing.assert_array_equal(table.columns["single"].astype(np.float32), columns["single"])
    assert table.columns["text"].tolist() == columns["text"].tolist()


def test_nothing_is_written_over(tmp_path):
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_text("old")
    refuse_existing([str(new), None], False)
    for path, error, message in [
        (there, FileExistsError, "--force writes over it"),
        (tmp_path, IsADirectoryError, "is a folder"),
        (tmp_path / "no" / "such", FileNotFoundError, "there is no folder"),
    ]:
        with pytest.raises(error, match=message):
            refuse_existing([str(path)], False)
    refuse_existing([str(there)], True)
    with pytest.raises(ValueError, match="is what is read"):
        refuse_existing([str(there)], True, [str(there)])
    with pytest.raises(ValueError, match="two of the files to write are this one"):
        refuse_existing([str(new), str(tmp_path / "no" / ".." / "new")], True)
    write(str(there), "new")
    assert there.read_text() == "new"
