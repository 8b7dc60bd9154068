"""The report of `fastmlp train` in a real browser: all pictures, nothing asked of anybody, readable on a phone."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of a table with numbers, categories and gaps, and their reports."""
    folder, rng = tmp_path_factory.mktemp("report"), random.Random(0)
    with (folder / "houses.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["area", "town", "price", "dear"])
        for _ in range(400):
            area, town = rng.randint(30, 200), rng.choice(["York", "Leeds", "Hull"])
            price = 3 * area + 120 * (town == "York") + rng.gauss(0, 20)
            write(["" if rng.random() < 0.05 else area, town, round(price, 1), "yes" if price > 400 else "no"])
    for target, other in ("price", "dear"), ("dear", "price"):
        what = ["--target", target, "--ignore", other, "--out", f"{target}.safetensors", "--epochs", "5"]
        subprocess.run([sys.executable, "-m", "fastmlp", "train", "houses.csv", *what], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(("target", "pictures"), [("price", 2), ("dear", 3)])
def test_the_report_is_whole_in_one_file(
    browser: Browser, folder: Path, target: str, pictures: int, width: int
) -> None:
    report = folder / f"{target}-report.html"
    assert report.stat().st_size < 2_000_000
    browser.open(report.as_uri(), width)
    assert browser.complaints() == []
    assert {url.partition(":")[0] for url in browser.requests()} <= {"file", "data"}
    assert [url for url in browser.requests() if url.startswith("file")] == [report.as_uri()]
    sizes = browser.ask("[...document.querySelectorAll('img, svg')].map(i => i.getBoundingClientRect().width)")
    assert len(sizes) >= pictures
    assert min(sizes) > 200
    assert browser.ask("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert target in browser.ask("document.body.innerText")
