"""Networks as C: twenty of them, each compiled for three processors, against the bits of predict."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import native_compiler, run

import fastmlp
from fastmlp.files.c_source import needed
from fastmlp.spec import ACTIVATION_NAMES, NORM_NAMES

ROWS = 17
NETWORKS = 20
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]

#: By the machine: the compiler, its options, the program that runs what it makes, and Debian's packages.
MACHINES = {
    "native": ([], ["-O2"], [], ""),
    "native as GNU C": ([], ["-O3", "-std=gnu17"], [], ""),
    "arm64": (["aarch64-linux-gnu-gcc"], ["-O3", "-std=gnu17", "-static"], ["qemu-aarch64"], "gcc-aarch64-linux-gnu"),
    "32-bit arm": (["arm-linux-gnueabihf-gcc"], ["-O2", "-static"], ["qemu-arm"], "gcc-arm-linux-gnueabihf"),
}


def networks() -> list[fastmlp.MLP]:
    """Networks of random widths and types, in which every activation is somewhere."""
    rng, names = np.random.default_rng(5), list(ACTIVATION_NAMES)
    made = []
    for number in range(NETWORKS):
        depth = int(rng.integers(0, 4))
        sizes = [int(width) for width in rng.integers(1, 40, depth + 2)]
        output = "softmax" if number % 3 == 0 and sizes[-1] > 1 else names[number % len(names)]
        hidden = [names[(8 * number + layer) % len(names)] for layer in range(depth)]
        if depth and number % 4 == 0:
            hidden[0] = (fastmlp.LeakyReLU(0.3), fastmlp.ELU(0.7), fastmlp.Softplus(3.0))[number // 4 % 3]
        dtype = ("float32", "float64")[number % 2]
        layers = {"activation": hidden or "relu", "output": output, "init": "he_normal"}
        net = fastmlp.MLP(sizes, **layers, dtype=dtype, seed=number)  # type: ignore[arg-type]
        net.biases = [rng.normal(size=b.shape) for b in net.biases]
        net.slopes = [rng.normal(size=slope.shape) for slope in net.slopes]
        made.append(net)
    made.append(fastmlp.MLP([5, 6, 6, 6, 9, 9, 3], activation="gelu", residual=True, seed=NETWORKS))
    made.append(fastmlp.MLP([5, 6, 3], activation=fastmlp.PReLU(-0.3, per_unit=False), seed=NETWORKS))
    for norm in (None, "layer"):
        maxout = fastmlp.Maxout(3), "maxout"
        made.append(fastmlp.MLP([9, 7, 7, 2], activation=maxout, residual=True, norm=norm, seed=NETWORKS))  # type: ignore[arg-type]
    for norm, dtype in itertools.product(NORM_NAMES, ("float32", "float64")):
        activation: Any = ["silu", "softmax" if norm == "layer" else "relu", "tanh"]
        net = fastmlp.MLP([9, 37, 3, 1, 2], activation=activation, norm=norm, dtype=dtype, seed=1)  # type: ignore[arg-type]
        net.fit(rng.normal(size=(50, 9)), rng.normal(size=(50, 2)), epochs=2)
        made.append(net)
    for number, dtype in enumerate(("float32", "float64")):
        net = fastmlp.MLP([5, 7, 2], dtype=dtype, seed=number, normalize="standard", normalize_targets="minmax")
        net.adapt(rng.normal(3, 5, (9, 5)), rng.normal(3, 5, (9, 2)))
        made.append(net)
    return made


def program(folder: Path, nets: list[fastmlp.MLP]) -> Path:
    """A program that reads every network's rows from a file and writes their outputs to another."""
    calls, includes = [], []
    for number, net in enumerate(nets):
        net.to_c(folder / f"net{number}.h", name=f"net{number}")
        real = "float" if net.dtype == "float32" else "double"
        includes.append(f'#include "net{number}.h"\n')
        calls.append(
            f"  for (int r = 0; r < {ROWS}; r++) {{\n"
            f"    {real} x[{net.sizes[0]}], y[{net.sizes[-1]}];\n"
            f"    if (fread(x, sizeof x, 1, stdin) != 1) return 1;\n"
            f"    net{number}_predict(x, y);\n"
            f"    if (fwrite(y, sizeof y, 1, stdout) != 1) return 1;\n"
            f"  }}\n"
        )
    source = folder / "program.c"
    source.write_text(f"#include <stdio.h>\n{''.join(includes)}\nint main(void) {{\n{''.join(calls)}  return 0;\n}}\n")
    return source


@pytest.mark.parametrize("machine", MACHINES)
def test_outputs_are_those_of_predict_bit_for_bit(machine: str, tmp_path: Path) -> None:
    cross, options, emulator, package = MACHINES[machine]
    compiler = cross or native_compiler()
    if compiler is None or not all(map(shutil.which, [*compiler, *emulator])):
        # CI sets the variable, so that the check cannot drop out of it unnoticed.
        missing = pytest.fail if cross and os.environ.get("FASTMLP_REQUIRE_EMULATION") == "1" else pytest.skip
        missing(f"no C compiler; Debian: apt-get install {package} qemu-user" if cross else "no C compiler")
    nets = networks()
    used = {layer.activation.name for net in nets for layer in net.layers}
    assert used >= {*ACTIVATION_NAMES}
    rng = np.random.default_rng(6)
    rows = [(4 * rng.normal(size=(ROWS, net.sizes[0]))).astype(net.dtype) for net in nets]
    (tmp_path / "rows").write_bytes(b"".join(X.tobytes() for X in rows))
    binary, written = tmp_path / "program", tmp_path / "outputs"
    built = run([*compiler, *FLAGS, *options, str(program(tmp_path, nets)), "-o", str(binary), "-lm"])
    assert built.returncode == 0, built.stderr[:3000]
    command = " ".join([*emulator, f"'{binary}'", f"< '{tmp_path / 'rows'}'", f"> '{written}'"])
    assert run(["sh", "-c", command]).returncode == 0
    outputs = written.read_bytes()
    for number, (net, X) in enumerate(zip(nets, rows, strict=True)):
        wanted = net.predict(X).tobytes()
        found, outputs = outputs[: len(wanted)], outputs[len(wanted) :]
        assert found == wanted, (number, net)
    assert not outputs


def test_the_head_says_what_it_takes(tmp_path: Path) -> None:
    net = fastmlp.MLP([3, 10, 7, 2], output="softmax", seed=0)
    net.to_c(tmp_path / "model.h")
    text = (tmp_path / "model.h").read_text()
    constants = 4 * sum(a.size for a in (*net.weights, *net.biases))
    assert f"{constants} of constants (flash), no static variables (RAM), {4 * (10 + 7)} of layers on the stack" in text
    assert "void model_predict(const float *x, float *y);" in text


@pytest.mark.parametrize("name", ["", "2net", "a-b", "é", "a b", "_model", 3])
def test_a_name_that_is_none_in_c_is_refused(name: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name must be an identifier in C"):
        fastmlp.MLP([2, 1], seed=0).to_c(tmp_path / "model.h", name=name)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_only_what_is_needed_is_taken() -> None:
    code, names = needed(["relu_value"], is_float=True)
    assert {"relu_value", "vmax", "vreal"} <= set(names)
    assert "exp" not in code
    with pytest.raises(KeyError):
        needed(["no_such_function"], is_float=True)


@pytest.mark.parametrize("call", ["to_c", "to_onnx"])
@pytest.mark.parametrize(
    ("network", "why"),
    [
        ({"loss": fastmlp.Quantile([0.1, 0.9])}, "several outputs of each target"),
        ({"activation": fastmlp.CustomActivation(np.sin, np.cos)}, "Python's functions, which layer 0 has"),
    ],
)
def test_what_a_file_cannot_say_is_refused(network: dict[str, Any], why: str, call: str, tmp_path: Path) -> None:
    net = fastmlp.MLP([2, 3, 2], seed=0, **network)
    with pytest.raises(ValueError, match=f"{call} writes no file .*{why}"):
        getattr(net, call)(tmp_path / "net")
    assert not list(tmp_path.iterdir())
