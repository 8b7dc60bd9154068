"""What an installed fastmlp consists of: files, sizes, version, how it was compiled."""

from __future__ import annotations

import subprocess
import sys
import zlib
from importlib import metadata, resources
from pathlib import Path

import pytest

import fastmlp
from fastmlp import runtime

PACKAGE = Path(fastmlp.__file__).parent


@pytest.fixture
def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("fastmlp")
    except metadata.PackageNotFoundError:
        pytest.skip("fastmlp is imported from its sources, not installed")


def installed_files(distribution: metadata.Distribution) -> list[Path]:
    """List the distribution's files; only for a real installation are they what a wheel held."""
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    if not any(file.is_relative_to(PACKAGE) for file in files):
        pytest.skip("an editable installation, or a build in place")
    return [file for file in files if file.is_relative_to(PACKAGE)]


def test_version_is_that_of_the_distribution(distribution: metadata.Distribution) -> None:
    assert fastmlp.__version__ == distribution.version


def test_run_time_needs_numpy_alone(distribution: metadata.Distribution) -> None:
    required = [line for line in distribution.requires or [] if "extra ==" not in line]
    assert [line for line in required if not line.startswith("numpy")] == []
    extras = set(distribution.metadata.get_all("Provides-Extra") or [])
    given = {"arrow", "completion", "lbfgs", "mpi", "onnx", "optuna", "plot", "progress", "sklearn", "tensorboard"}
    assert extras == {"bench", "docs", "ecosystem", "lint", "test", "torch", *given}


def test_importing_fastmlp_imports_no_extra() -> None:
    extras = {"matplotlib", "onnx", "optuna", "safetensors", "scipy", "sklearn", "tensorboardX", "torch", "tqdm"}
    program = f"import sys, fastmlp; print(*sorted({extras} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_console_script(distribution: metadata.Distribution) -> None:
    (script,) = distribution.entry_points.select(group="console_scripts", name="fastmlp")
    assert callable(script.load())


def test_types_and_stubs_are_there() -> None:
    assert (PACKAGE / "py.typed").exists()
    if runtime.is_pure():
        assert not (PACKAGE / "passes").exists()
        return
    for name in ("kernels", "threads", "plan", "engine"):
        assert (PACKAGE / "passes" / f"{name}.pyi").exists(), name


def test_digits_are_small_and_come_with_their_licence() -> None:
    files = [file for file in resources.files("fastmlp.datasets").iterdir() if file.is_file()]
    data = {file.name: len(file.read_bytes()) for file in files if not file.name.endswith((".py", ".pyc"))}
    assert 0 < sum(size for name, size in data.items() if name.startswith("digits")) < 150_000
    assert any("LICENSE" in name for name in data)


def test_wheel_is_small_and_holds_no_sources_of_the_build(distribution: metadata.Distribution) -> None:
    files = installed_files(distribution)
    config = pytest.importorskip("fastmlp._build_config")
    # The C that MLP.to_c writes, and what C and Cython programs include.
    wanted = {PACKAGE / "files" / "csrc", PACKAGE / "include", PACKAGE}
    sources = [file for file in files if file.suffix in {".c", ".h", ".inl", ".pxd", ".pyx", ".o"}]
    assert not [file.name for file in sources if file.parent not in wanted]
    assert {PACKAGE / "__init__.pxd", PACKAGE / "include" / "fastmlp.h"} <= set(sources)
    if not config.SANITIZE and not config.DEBUG:
        contents = [file.read_bytes() for file in files if file.suffix != ".pyc"]
        assert sum(len(zlib.compress(content)) for content in contents) < 2_000_000


def test_how_it_was_compiled() -> None:
    config = pytest.importorskip("fastmlp._build_config")
    if config.PURE:
        assert (config.COMPILER, config.CFLAGS, config.OPENMP) == ("", "", False)
        return
    flags = config.CFLAGS.split()
    assert config.COMPILER
    assert config.OPENMP == bool(config.OPENMP_VERSION) == (not config.OPENMP_REASON)
    assert not {"-ffast-math", "-Ofast", "-w", "/fp:fast"} & set(flags)
    assert not [flag for flag in flags if flag.startswith(("-march", "-mavx", "-mfma"))]
    assert {"-ffp-contract=off", "/fp:precise"} & set(flags)


def test_config_tells_about_openmp() -> None:
    config = pytest.importorskip("fastmlp._build_config")
    passes = pytest.importorskip("fastmlp.passes")
    assert bool(passes.openmp) == config.OPENMP


def test_licence_and_home_are_in_the_metadata(distribution: metadata.Distribution) -> None:
    fields = distribution.metadata
    assert "BSD-3-Clause" in (fields["License-Expression"], fields["License"])
    urls = [url.partition(", ") for url in fields.get_all("Project-URL") or []]
    assert {name for name, _, _ in urls} == {"Homepage", "Documentation", "Changelog", "Issues"}


def test_dir_shows_what_there_is_to_use() -> None:
    shown = {name for name in dir(fastmlp) if not name.startswith("__")}
    assert shown == set(fastmlp.__all__) - {"__version__"}
