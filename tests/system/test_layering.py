"""Who may include, import and call what: the one-way road of the design, read off the sources."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from places import CSRC, PACKAGE, PASSES, ROOT

pytestmark = pytest.mark.skipif(
    not (CSRC / "kernels.h").exists(), reason=f"no C sources in {CSRC}: FASTMLP_CSRC says where they are"
)

C_FILES = sorted(path for path in CSRC.rglob("*") if path.suffix in {".c", ".h", ".inl", ".def"})
PYX_FILES = sorted(PASSES.glob("*.pyx"))
CYTHON_FILES = sorted([*PYX_FILES, *PASSES.glob("*.pxd")])


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name for path in paths]


each_c_file = pytest.mark.parametrize("path", C_FILES, ids=names(C_FILES))
each_pyx_file = pytest.mark.parametrize("path", PYX_FILES, ids=names(PYX_FILES))
each_cython_file = pytest.mark.parametrize("path", CYTHON_FILES, ids=names(CYTHON_FILES))


@cache
def code_of(path: Path) -> str:
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def includes(code: str) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+([<"][^>"]+[>"])', code, flags=re.MULTILINE)


def system_headers(path: Path, code: str | None = None) -> set[str]:
    """Find the system headers that a file (or a part of its code) includes, itself or by way of others."""
    found: set[str] = set()
    for name in includes(code_of(path) if code is None else code):
        if name.startswith("<"):
            found.add(name.strip("<>"))
        else:
            found |= system_headers(path.parent / name.strip('"'))
    return found


# ---- csrc/ ----------------------------------------------------------------------------------------------------------

PLAIN_HEADERS = {"float.h", "limits.h", "math.h", "stddef.h", "stdint.h", "string.h"}


@each_c_file
def test_c_includes_the_plain_library_and_intrinsics_in_their_place(path: Path) -> None:
    allowed = set(PLAIN_HEADERS)
    if path.parent.name == "isa" and path.name.startswith("avx"):
        allowed.add("immintrin.h")
    if path.parent.name == "isa" and path.name.startswith("neon"):
        allowed.add("arm_neon.h")
    if path.name == "cpu.c":
        allowed |= {"cpuid.h", "intrin.h"}
    assert {name.strip("<>") for name in includes(code_of(path)) if name.startswith("<")} <= allowed


@each_c_file
def test_c_includes_stay_inside_csrc(path: Path) -> None:
    for name in includes(code_of(path)):
        if name.startswith('"'):
            target = (path.parent / name.strip('"')).resolve()
            assert target.is_relative_to(CSRC)
            assert target.exists()


@each_c_file
def test_c_knows_neither_python_nor_threads_nor_the_heap(path: Path) -> None:
    code = code_of(path)
    assert not re.search(r"\b(Py_\w+|PyObject|omp_\w+|pthread_\w+|_Atomic|atomic_\w+|_Thread_local)\b", code)
    assert not re.search(r"\b((m|c|re)alloc|free|alloca|printf)\b", code)
    assert not re.search(r"#\s*pragma\s+omp", code)


@each_c_file
def test_c_has_no_mutable_state(path: Path) -> None:
    # A definition at file level that is not a function, an enum or a type has to be const.
    for line in code_of(path).splitlines():
        if re.match(r"(static|extern)\b[^(){]*[=;\[]", line):
            assert re.search(r"\bconst\b", line), line


#: Files that are a list where its macro is defined, or else the functions of its rows.
LISTS = {"activation.inl": "ACTIVATION", "loss.inl": "LOSS", "optimizer.inl": "OPTIMIZER"}


def test_kernels_and_operations_include_nothing_of_ours_but_lists() -> None:
    for path in [*(CSRC / "kernels").iterdir(), *(CSRC / "ops").iterdir()]:
        ours = [Path(name.strip('"')).name for name in includes(code_of(path)) if name.startswith('"')]
        assert all(name.endswith(".def") or name in LISTS for name in ours), path.name


@pytest.mark.parametrize("name", LISTS)
def test_a_row_and_its_functions_are_in_one_file(name: str) -> None:
    macro = LISTS[name]
    code = code_of(CSRC / "ops" / name).strip()
    listed = re.match(rf"#ifdef {macro}\n(.*?)\n#else\n", code, re.DOTALL)
    assert listed, "opens without the list"
    rest = re.sub(rf"{macro}\([^()]*\)", "", listed[1]).split()
    assert not rest, f"not a row of the list: {rest}"
    assert code.endswith("#endif")
    assert macro + "(" not in code[listed.end() :]


def test_lists_are_read_where_they_are_expanded() -> None:
    for path in C_FILES:
        for name in map(Path, re.findall(r'"(ops/\w+\.inl|\.\./ops/\w+\.inl)"', code_of(path))):
            if name.name in LISTS and path.name != "instantiate.inl":
                before = code_of(path).partition(f'"{name.as_posix()}"')[0]
                assert f"#define {LISTS[name.name]}(" in before, f"{path.name} would get the functions of {name}"


@pytest.mark.parametrize("path", sorted((CSRC / "isa").glob("*.inl")) if CSRC.exists() else [], ids=lambda p: p.name)
def test_system_headers_come_before_an_isa_region(path: Path) -> None:
    # Inside the region a header's inline functions would be compiled for an instruction set that callers may lack.
    before, pragma, after = code_of(path).partition("#pragma clang attribute push")
    if pragma:
        assert not [name for name in includes(after) if name.startswith("<")]
        assert system_headers(path, after) <= system_headers(path, before)
        assert "#pragma GCC push_options" in after
        assert "#pragma clang attribute pop" in after
        assert "#pragma GCC pop_options" in after


def test_every_isa_has_its_files() -> None:
    for isa in re.findall(r"^ISA\((\w+),", (CSRC / "isa" / "isa.def").read_text(encoding="utf-8"), re.MULTILINE):
        for name in (f"vec_{isa}.h", f"{isa}_f32.c", f"{isa}_f64.c"):
            assert (CSRC / "isa" / name).exists(), name


# ---- passes/ --------------------------------------------------------------------------------------------------------

# Lowest first: a pass uses those before it.
PASS_ORDER = [
    "kernels", "threads", "rates", "probes", "gate", "sweep", "layers", "panels", "pairs", "parameters", "workspace",
    "rows", "plan", "tuner", "gemm", "tiles", "sparse", "dropout", "custom", "norm", "forward", "loss", "backward",
    "gradient", "clip", "update", "lazy", "orthogonal", "bound", "rowmajor", "predict", "steps", "by_panels", "step",
    "call",
    "apply", "tape", "exchange", "trace", "engine", "handles", "capi",
]  # fmt: skip


@each_cython_file
def test_passes_use_those_below_them(path: Path) -> None:
    used = re.findall(r"^\s*from fastmlp\.passes\.(\w+) cimport", path.read_text(encoding="utf-8"), re.MULTILINE)
    used += re.findall(r"^\s*from \.(\w+) cimport", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(PASS_ORDER.index(name) <= PASS_ORDER.index(path.stem) for name in used), used


@each_cython_file
def test_passes_see_arrays_through_buffers(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(cimport numpy|from numpy(\.\w+)* cimport)", source, re.MULTILINE)
    assert not re.search(r"\b(ctypedef fused|cython\.floating)\b", source)


@each_cython_file
def test_openmp_and_the_pool_are_in_one_place(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if path.stem != "threads":
        assert not re.search(r"^\s*(cimport openmp|from (openmp|cython\.parallel) cimport|cimport cython\.parallel)",
                             source, re.MULTILINE)  # fmt: skip
        assert not re.search(r"\bprange\b|\bomp_\w+", source)
        assert "pool.h" not in source  # it holds the process's workers: another module would get a set of its own


@each_cython_file
def test_only_the_kernels_module_links_csrc(path: Path) -> None:
    headers = re.findall(r'cdef extern from "([^"]+)"', path.read_text(encoding="utf-8"))
    if path.stem != "kernels":
        assert not [header for header in headers if (CSRC / header).exists()]


@each_pyx_file
def test_each_pass_names_its_mirror(path: Path) -> None:
    docstring = re.match(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
    assert docstring, "opens without a docstring"
    assert docstring[1].count("\n") <= 5
    mirrors = re.findall(r"reference/(\w+\.py)", docstring[1])
    assert mirrors or "No mirror" in docstring[1]
    for mirror in mirrors:
        assert (PACKAGE / "reference" / mirror).exists(), mirror


@each_pyx_file
def test_each_pass_has_a_stub(path: Path) -> None:
    assert path.with_suffix(".pyi").exists()


def test_the_reference_names_what_it_mirrors() -> None:
    for path in (PACKAGE / "reference").glob("*.py"):
        if path.name == "__init__.py":
            continue
        opening = "\n".join(path.read_text(encoding="utf-8").splitlines()[:6])
        mirrored = re.findall(r"\b((?:passes|csrc)/[\w/]+\.\w+)", opening)
        assert mirrored, path.name
        for name in mirrored:
            assert (PACKAGE / name).exists() or (ROOT / name).exists(), f"{path.name}: {name}"


def test_files_of_one_name_mirror_each_other() -> None:
    mirrors = {path.stem: path for path in (PACKAGE / "reference").glob("*.py")}
    for path in PYX_FILES:
        if path.stem in mirrors:
            assert f"reference/{path.stem}.py" in path.read_text(encoding="utf-8")[:600], path.name
            assert f"passes/{path.stem}.pyx" in mirrors[path.stem].read_text(encoding="utf-8")[:600], path.stem


def parameters(function: object) -> list[tuple[str, bool]]:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    return [(p.name, p.default is inspect.Parameter.empty) for p in signature.parameters.values()]


def test_both_backends_have_the_same_interface() -> None:
    from fastmlp import reference

    passes = pytest.importorskip("fastmlp.passes")
    assert parameters(passes.permutation) == parameters(reference.permutation)
    public = {name for name in vars(reference.Engine) if not name.startswith("_")}
    assert public == {name for name in vars(passes.Engine) if not name.startswith("_")}
    for name in sorted(public):
        ours, theirs = getattr(passes.Engine, name), getattr(reference.Engine, name)
        if callable(theirs):
            assert parameters(ours) == parameters(theirs), name
        else:
            assert not callable(ours), name


# ---- the package ----------------------------------------------------------------------------------------------------

# Lowest first: a module imports those before it.
MODULE_ORDER = [
    "_build_config", "markup", "spec", "schedules", "reference", "initializers", "passes", "runtime", "data",
    "datasets", "files", "metrics", "plot", "access", "train", "network", "c_api", "torch", "many", "search",
    "sklearn", "tabular", "patch", "cli", "__init__", "__main__",
]  # fmt: skip


# The same inside train/.
TRAIN_ORDER = [
    "history", "samples", "source", "deal", "exchange", "stream", "mixing", "learner", "profile", "callbacks", "due",
    "loggers", "limits", "lines", "plateau", "course", "epoch", "shared", "record", "checkpoint", "metrics", "progress",
    "safety", "lbfgs", "loop", "pruning", "tensorboard", "weight_history", "finder",
]  # fmt: skip


class Imports(ast.NodeVisitor):
    """The modules of the package that a file imports when it runs: not those for type checkers."""

    def __init__(self, package: tuple[str, ...]) -> None:
        self.package = package
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fastmlp.")}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = list(self.package[: len(self.package) - node.level + 1]) if node.level else []
        module = [*base, *((node.module or "").split(".") if node.module else [])]
        if module == ["fastmlp"]:
            self.found |= {alias.name for alias in node.names}
        elif module[:1] == ["fastmlp"]:
            self.found.add(module[1])


def test_the_package_is_a_one_way_road() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        imports = Imports(("fastmlp", *parts[:-1]))
        imports.visit(ast.parse(path.read_text(encoding="utf-8")))
        module = parts[0]
        assert module in MODULE_ORDER, f"{path.name}: where does it stand? (MODULE_ORDER)"
        beneath = set(MODULE_ORDER[: MODULE_ORDER.index(module) + 1])
        used = imports.found & set(MODULE_ORDER)
        assert used <= beneath, f"{path.name} imports {sorted(used - beneath)}"
        if module != "passes" and parts != ("runtime", "backend"):
            # One place knows what to do when the extension is missing.
            assert "passes" not in used, f"{path.name} imports passes: runtime.get_backend does that"


def test_training_is_a_one_way_road() -> None:
    for path in (PACKAGE / "train").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guarded = {id(node) for block in ast.walk(tree) if isinstance(block, ast.If) for node in ast.walk(block)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and id(node) not in guarded:
                package, _, module = (node.module or "").rpartition(".")
                if package == "fastmlp.train":
                    assert TRAIN_ORDER.index(module) < TRAIN_ORDER.index(path.stem), f"{path.name} imports {module}"


@pytest.mark.parametrize("name", ["setup.py", "pyproject.toml"])
def test_nothing_installed_is_built_for_this_machine_or_with_loose_arithmetic(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for flag in ("-march", "-mtune", "-mavx", "-mfma", "-ffast-math", "-Ofast", "-funsafe", "/fp:fast"):
        assert flag not in text
    assert not re.search(r"[\"']-w[\"']", text)
