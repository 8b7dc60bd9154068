"""README and pyproject.toml tell the same, links lead somewhere, and README's code gives what stands beside it."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason=f"no README.md in {ROOT}")


@pytest.fixture(scope="module")
def text() -> str:
    return README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href|srcset)="([^"]+)"', text)


def test_where_the_project_lives_is_said_once_and_all_links_begin_with_it(text: str, project: dict[str, Any]) -> None:
    home = project["urls"]["Homepage"]
    assert all(url.startswith(home) for url in project["urls"].values())
    found = links(text)
    assert found
    for link in found:
        assert link.startswith("https://"), f"{link}: leads nowhere from a package index"
        if "github" in link:
            assert link.startswith(home), f"{link}: not where the project lives"


def test_what_a_link_into_the_project_leads_to_exists(text: str, project: dict[str, Any]) -> None:
    for link in [*links(text), *project["urls"].values()]:
        path = re.fullmatch(re.escape(project["urls"]["Homepage"]) + r"/(?:blob|raw|tree)/main/([^#]+)(#.*)?", link)
        assert path is None or (ROOT / path[1]).exists(), link


def test_python_versions_and_systems_are_said(text: str, project: dict[str, Any]) -> None:
    assert f"Python {project['requires-python'].removeprefix('>=')}" in text
    for system in ("Linux", "macOS", "Windows"):
        assert system in text


def test_every_extra_is_for_something_that_exists(project: dict[str, Any]) -> None:
    modules = {"scikit-learn": "sklearn"}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    imported = {name for source in sources for name in re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE)}
    for extra, packages in project["optional-dependencies"].items():
        if extra in {"test", "ecosystem", "bench", "lint", "docs"}:
            continue
        wanted = [re.match(r"[\w-]+", package)[0] for package in packages]  # type: ignore[index]
        assert {modules.get(name, name) for name in wanted} & imported, f"nothing needs {extra}: {packages}"


def test_every_extra_that_is_named_exists(text: str, project: dict[str, Any]) -> None:
    documents = [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")]
    documents += (ROOT / "examples").glob("*.py")
    for path in documents:
        for extras in re.findall(r"pip install [^\n]*?\[([\w,]+)\]", path.read_text(encoding="utf-8")):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), f"{path.name}: {extras}"


def test_the_code_in_readme_runs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:1]
    names: dict[str, Any] = {}
    exec(compile(code, str(README), "exec"), names)
    assert names["net"].evaluate(names["X_test"], names["y_test"])["accuracy"] > 0.96


def test_the_pictures_figures_are_those_of_the_table() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    columns = ("fastmlp", "jax", "torch.compile", "torch", "sklearn")
    table = re.findall(r"^\| ([\dx-]+) \| (\d+) \| (.+) \| ([\d.]+)× \|$", text, re.MULTILINE)
    (path,) = (ROOT / "bench" / "results").glob("peers-*.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["machine"]["commit"][:7] in text
    assert report["machine"]["date"][:10] in text
    assert len(table) == len(report["results"])
    for (name, batch, figures, lead), result in zip(table, report["results"].values(), strict=True):
        sizes = "-".join(map(str, result["job"]["sizes"]))
        assert sizes == re.sub(r"(\d+)x(\d+)", lambda run: "-".join([run[1]] * int(run[2])), name)
        assert result["job"]["batch"] == int(batch)
        us = [float(figure.replace(",", "")) for figure in figures.split(" | ")]
        drawn = {variant: found["us_per_step_median"] for variant, found in result["variants"].items()}
        drawn["jax"] = min(drawn["jax"], drawn.get("jax-scan", drawn["jax"]))
        assert [drawn[column] for column in columns] == pytest.approx(us, rel=0.05)
        assert min(us[1:]) / us[0] == pytest.approx(float(lead), rel=0.05)


def test_the_picture_is_drawn_from_a_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib, which comes with '.[bench]'")
    (report,) = (ROOT / "bench" / "results").glob("peers-*.json")
    command = [sys.executable, str(ROOT / "bench" / "draw.py"), str(report), str(tmp_path / "picture.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    width, height = struct.unpack(">II", (tmp_path / "picture.png").read_bytes()[16:24])
    assert width == 1800  # twice README's column
    assert 0.4 < height / width < 0.8
