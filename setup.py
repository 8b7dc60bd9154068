"""The compiled part of the build: csrc/ once, as objects inside `fastmlp.passes.kernels`, and one extension per pass.

All metadata but the licence's name is in pyproject.toml. Read from the environment: FASTMLP_PURE=1 (nothing is
compiled: NumPy only), FASTMLP_NO_OPENMP=1 (do not look for it), FASTMLP_DEBUG=1 (asserts, -O1 -g),
FASTMLP_SANITIZE=address,undefined, FASTMLP_WERROR=1 (warnings are errors).
"""

from __future__ import annotations

import copy
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import setuptools
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError, CompileError, ExecError, LinkError, PlatformError

COMPILER_ERRORS = (CCompilerError, CompileError, LinkError, ExecError, PlatformError)
ROOT = Path(__file__).resolve().parent
PACKAGE = "src/fastmlp"
# The list in src/fastmlp/files/c_source.py has the same files in an order.
C_OF_MODELS = [
    "base.h",
    "kernels.h",
    "isa/vec_scalar.h",
    *(f"kernels/{name}.inl" for name in ("vecmath", "reduce", "norm")),
]
C_OF_MODELS += [f"ops/{name}.inl" for name in ("activation", "softmax", "prelu")]
# The extension that holds the kernels: the others reach them through the pointers of its tables.
KERNELS = "fastmlp.passes.kernels"
# What Cython's own code for arrays, functions and exceptions is taken from, once instead of in every pass (Cython 3.1).
SHARED = "fastmlp.passes._cyutility"
# The passes that a step or the prediction of a row runs through again and again. The others do things once for a call,
# and are compiled to be small: a third of a wheel would be theirs.
QUICK = [
    "apply", "backward", "bound", "by_panels", "clip", "dropout", "exchange", "forward", "gemm", "gradient", "handles",
    "layers", "loss", "norm", "plan", "predict", "rowmajor", "rows", "step", "steps", "tape", "threads", "tiles",
    "update",
]  # fmt: skip
# Where the scalar kernels are for processors that lack an instruction for fma: it is then a function of some hundred
# nanoseconds, and what else is done between two of them costs nothing.
HAVE_VECTORS = {"amd64", "x86_64", "aarch64", "arm64"}
# The only module that sees OpenMP (tests/system/test_layering.py): for the limit on threads that OMP_NUM_THREADS and
# threadpoolctl set, and on Windows for the threads themselves.
OPENMP_MODULES = {"fastmlp.passes.threads"}

CYTHON_DIRECTIVES = {
    "language_level": "3",
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    "freethreading_compatible": True,
    "auto_pickle": False,
}

OPENMP_PROBE = """
#include <omp.h>
#include <stdio.h>
int main(void) {
  int i, sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(2)
  for (i = 0; i < 100; i++) sum += i;
  printf("%d", _OPENMP);
  return sum == 4950 && omp_get_max_threads() >= 1 ? 0 : 1;
}
"""

NO_OPENMP_WARNING = """
********************************************************************************
  fastmlp is being built WITHOUT OpenMP: {consequence}.
  Reason: {reason}.
  Debian, Ubuntu: apt-get install gcc (libgomp comes with it).
  macOS: brew install libomp.   clang: install libomp-dev.
  Then build again:  pip install --force-reinstall --no-cache-dir .
  fastmlp.show_config() tells what an installed copy was built with.
********************************************************************************
"""


COMPILER_PROBE = """
#include <stdio.h>
int main(void) { return printf("C") == 1 ? 0 : 1; }
"""

# The last lines that a user sees when it cannot be compiled: what is missing, and both ways out.
CANNOT_COMPILE = """
********************************************************************************
  fastmlp is written in C for speed, and {missing}.

  Either install what compiles it, then repeat the command:
    Debian, Ubuntu   apt-get install gcc libc6-dev python3-dev
    Fedora           dnf install gcc python3-devel
    macOS            xcode-select --install
    Windows          Visual Studio's Build Tools, "Desktop development with C++"
    conda            conda install c-compiler
  or do without: the same in NumPy alone, several times slower:
    FASTMLP_PURE=1 pip install .        (Windows: set FASTMLP_PURE=1 first)
********************************************************************************"""


def require_python_headers() -> None:
    """Stop with a way out rather than with the compiler's "Python.h: No such file or directory"."""
    folders = {sysconfig.get_path(name) for name in ("include", "platinclude")}
    if not any(Path(folder, "Python.h").exists() for folder in folders):
        where = ", ".join(sorted(folders))
        raise SystemExit(CANNOT_COMPILE.format(missing=f"Python's C headers are missing (Python.h in\n  {where})"))


PURE_CONFIG = '''"""How this copy of fastmlp was built. Written by setup.py."""

PURE = True  # whether it was to be without the extension
OPENMP = False
OPENMP_VERSION = 0
OPENMP_REASON = "FASTMLP_PURE is set"
COMPILER = ""
CFLAGS = ""
SANITIZE = ""
DEBUG = False
'''


def enabled(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def files_under(folder: str, *suffixes: str) -> list[str]:
    """Paths relative to setup.py, as setuptools wants them."""
    found = (path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def up_to_date(target: str, sources: list[str]) -> bool:
    if not Path(target).exists():
        return False
    built = Path(target).stat().st_mtime_ns
    return all(Path(source).stat().st_mtime_ns < built for source in sources)


class Flags:
    """Compiler and linker arguments for one build, from the compiler's family and the environment."""

    def __init__(self, msvc: bool) -> None:
        self.sanitize = os.environ.get("FASTMLP_SANITIZE", "")
        self.debug = enabled("FASTMLP_DEBUG")
        werror = enabled("FASTMLP_WERROR")
        self.link: list[str] = []
        if msvc:
            if self.sanitize:
                raise SystemExit("FASTMLP_SANITIZE needs gcc or clang")
            self.common = ["/O2", "/fp:precise", "/std:c11", "/utf-8"]
            self.common += ["/UNDEBUG"] if self.debug else []
            self.kernels = ["/W3", *(["/WX"] if werror else [])]
            self.cython: list[str] = []
            self.small: list[str] = []
            return
        # No contraction: every fused multiply-add is written as one, so that all ISAs round alike. -g0: Python's own
        # flags often have -g, which would make the wheel four times as large. No exception of C++
        # passes through these functions, and the tables for that would be a tenth of them.
        self.common = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-Wall", "-Wextra"]
        if self.sanitize:
            sanitize = [f"-fsanitize={self.sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
            self.common += ["-O1", "-g", *sanitize]
            self.link += sanitize
        else:
            self.common += ["-O1", "-g"] if self.debug else ["-O3", "-g0", "-fno-asynchronous-unwind-tables"]
        self.common += ["-UNDEBUG"] if self.debug else ["-DNDEBUG"]
        if not sysconfig.get_platform().endswith(("x86_64", "amd64")):
            self.common.append("-fsigned-char")  # arrays of bytes go to the passes as int8; char is unsigned on arm64
        self.common += ["-Werror"] if werror else []
        self.kernels = ["-Wshadow", "-Wpedantic"]
        # What Cython generates defines helpers and parameters that a module may not use.
        self.cython = ["-Wno-unused-function", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]
        released = not (self.sanitize or self.debug)
        self.small = ["-Os"] if released else []
        if released and sys.platform.startswith("linux"):
            self.link.append("-Wl,-s")  # without the names of what is not for others
        if sys.platform != "win32":
            self.link.append("-pthread")

    def for_source(self, source: str, msvc: bool) -> list[str]:
        """GCC and Clang enable an ISA by regions inside its file; MSVC by a flag for the whole file."""
        isa = Path(source).name.split("_")[0]
        arch = {"avx512": "/arch:AVX512", "avx2": "/arch:AVX2"}.get(isa)
        small = self.small if isa == "scalar" and platform.machine().lower() in HAVE_VECTORS else []
        return [*self.common, *self.kernels, *small, *([arch] if msvc and arch else [])]


class BuildKernelsAndPasses(build_ext):
    """build_ext that compiles csrc/ in parallel, probes OpenMP and writes fastmlp/_build_config.py."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.parallel:
            cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
            self.parallel = len(cpus)

    def run(self) -> None:
        super().run()
        if self.extensions:
            for path in self._config_paths():
                Path(path).write_text(self._config_text(), encoding="utf-8")
                copy_c_sources(Path(path).parent)

    def build_extensions(self) -> None:
        self._require_compiler()
        require_python_headers()
        self._msvc = self.compiler.compiler_type == "msvc"
        self._flags = Flags(self._msvc)
        self._probe_openmp()
        self._force_when_flags_changed()

        for ext in self.extensions:
            openmp = ext.name in OPENMP_MODULES
            small = ext.name.rpartition(".")[2] not in QUICK
            ext.extra_compile_args = [*self._flags.common, *self._flags.cython, *(self._flags.small if small else [])]
            ext.extra_compile_args += self._openmp[0] if openmp else []
            ext.extra_link_args = [*self._flags.link, *(self._openmp[1] if openmp else [])]
        self._cythonize()
        objects = self._compile_kernels()
        for ext in self.extensions:
            if ext.name == KERNELS:
                ext.extra_objects = objects
        super().build_extensions()

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), self._config_paths()[0]]

    def get_output_mapping(self) -> dict[str, str]:
        mapping = dict(super().get_output_mapping())
        if self.inplace:
            built, source = self._config_paths()
            mapping[built] = source
        return mapping

    def _config_paths(self) -> list[str]:
        built = f"{self.build_lib}/fastmlp/_build_config.py"
        return [built, f"{PACKAGE}/_build_config.py"] if self.inplace else [built]

    def _config_text(self) -> str:
        flags = [*self._flags.common, *self._flags.kernels]
        return (
            '"""How this copy of fastmlp was built. Written by setup.py."""\n\n'
            "PURE = False  # whether it was to be without the extension\n"
            f"OPENMP = {bool(self._openmp_version)}\n"
            f"OPENMP_VERSION = {self._openmp_version}  # of the specification, yyyymm; 0: built without\n"
            f"OPENMP_REASON = {self._openmp_reason!r}  # why it was built without\n"
            f"COMPILER = {self._compiler_version()!r}\n"
            f"CFLAGS = {' '.join(flags)!r}\n"
            f"SANITIZE = {self._flags.sanitize!r}\n"
            f"DEBUG = {self._flags.debug}\n"
        )

    def _compiler_version(self) -> str:
        if self._msvc:
            return platform.python_compiler()
        command = [*self.compiler.compiler, "--version"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return lines[0] if lines else " ".join(self.compiler.compiler)

    def _force_when_flags_changed(self) -> None:
        """Objects of another configuration are newer than their sources too: rebuild all when the flags differ."""
        flags = self._flags
        now = [flags.common, flags.kernels, flags.cython, flags.small, flags.link, self._openmp, CYTHON_DIRECTIVES]
        text = json.dumps([*now, self.build_lib, self._compiler_version(), sys.version])
        stamp = Path(self.build_temp) / "flags.json"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != text:
            self.force = True
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(text, encoding="utf-8")

    def _cythonize(self) -> None:
        from Cython import __version__ as version
        from Cython.Build import cythonize

        folder = f"build/cython/{version}"
        pending = [copy.copy(ext) for ext in self.extensions if ext.name != SHARED]
        generated = cythonize(
            pending,
            build_dir=folder,
            compiler_directives=CYTHON_DIRECTIVES,
            include_path=["src"],
            nthreads=min(self.parallel, len(pending)),
            shared_utility_qualified_name=SHARED,
        )
        sources = {done.name: done.sources for done in generated} | {SHARED: [shared_source(folder)]}
        for ext in self.extensions:
            ext.sources = sources[ext.name]

    def _compile_kernels(self) -> list[str]:
        depends = files_under("csrc", ".h", ".inl", ".def")

        def compile_one(source: str) -> str:
            (target,) = self.compiler.object_filenames([source], output_dir=self.build_temp)
            if self.force or not up_to_date(target, [source, *depends]):
                arguments = self._flags.for_source(source, self._msvc)
                self.compiler.compile(
                    [source], output_dir=self.build_temp, include_dirs=["csrc"], extra_postargs=arguments
                )
            return target

        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(compile_one, files_under("csrc", ".c")))

    # OpenMP ----------------------------------------------------------------------------------------------------------

    def _probe_openmp(self) -> None:
        """Sets _openmp (compile and link arguments), _openmp_version (0: none) and _openmp_reason."""
        self._openmp: tuple[list[str], list[str]] = ([], [])
        self._openmp_version = 0
        self._openmp_reason = ""
        if enabled("FASTMLP_NO_OPENMP"):
            self._openmp_reason = "FASTMLP_NO_OPENMP is set"
        else:
            for compile_args, link_args in self._openmp_candidates():
                version = self._run_probe(compile_args, link_args)
                if version:
                    self._openmp, self._openmp_version = (compile_args, link_args), version
                    return
            self._openmp_reason = "no program with OpenMP could be compiled, linked and run"
        windows = sys.platform == "win32"
        consequence = "it will train on ONE thread only" if windows else "threadpoolctl will not limit its threads"
        warning = NO_OPENMP_WARNING.format(consequence=consequence, reason=self._openmp_reason)
        print(warning, file=sys.stderr, flush=True)

    def _openmp_candidates(self) -> list[tuple[list[str], list[str]]]:
        if self._msvc:
            return [(["/openmp:experimental"], []), (["/openmp"], [])]
        if sys.platform != "darwin":
            return [(["-fopenmp"], ["-fopenmp"])]
        # Apple's clang has no -fopenmp of its own; libomp comes from conda, Homebrew or MacPorts.
        apple = ["-Xpreprocessor", "-fopenmp"]
        candidates = [(apple, ["-lomp"]), (["-fopenmp"], ["-fopenmp"])]
        places = [os.environ.get("CONDA_PREFIX", ""), "/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"]
        for prefix in [place for place in places if place and Path(place, "include", "omp.h").exists()]:
            library = f"{prefix}/lib"
            candidates.append(([*apple, f"-I{prefix}/include"], [f"-L{library}", f"-Wl,-rpath,{library}", "-lomp"]))
        return candidates

    def _run_probe(self, compile_args: list[str], link_args: list[str]) -> int:
        """The OpenMP version that a small program prints when it is built with these arguments; 0 if it cannot be."""
        flags = self._flags.link
        try:
            return int(self._output_of(OPENMP_PROBE, [*flags, *compile_args], [*flags, *link_args]))
        except (*COMPILER_ERRORS, OSError, subprocess.SubprocessError, ValueError):
            return 0

    def _require_compiler(self) -> None:
        try:
            self._output_of(COMPILER_PROBE, [], [])
        except (*COMPILER_ERRORS, OSError, subprocess.SubprocessError) as error:
            missing = f"no program in C could be compiled and run:\n  {error}"
            raise SystemExit(CANNOT_COMPILE.format(missing=missing)) from None

    def _output_of(self, program: str, compile_args: list[str], link_args: list[str]) -> str:
        """Compile and run a program in C; return what it prints."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "probe.c").write_text(program, encoding="utf-8")
            # Absolute sources would put the object beside themselves, out of output_dir.
            before = Path.cwd()
            os.chdir(folder)
            try:
                objects = self.compiler.compile(["probe.c"], extra_postargs=compile_args)
                self.compiler.link_executable(objects, "probe", extra_postargs=link_args)
                command = [self.compiler.executable_filename("probe", output_dir=folder)]
                return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
            finally:
                os.chdir(before)


class BuildPure(build_py):
    """build_py that leaves the passes out and says so in fastmlp/_build_config.py."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.packages = [name for name in self.packages or [] if name != "fastmlp.passes"]

    def run(self) -> None:
        super().run()
        folder = PACKAGE if self.editable_mode else f"{self.build_lib}/fastmlp"
        Path(folder, "_build_config.py").write_text(PURE_CONFIG, encoding="utf-8")
        copy_c_sources(Path(folder))


def shared_source(folder: str) -> str:
    """Have Cython write the module that the passes share: the same for whatever is in them."""
    target = Path(folder, f"{SHARED.rpartition('.')[2]}.c")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name, which Cython 3.1 does not ask for, keeps the module out of sys.modules as "_cyutility".
        command = [sys.executable, "-m", "cython", f"--generate-shared={target}", "--module-name", SHARED]
        subprocess.run(command, check=True)
    return target.as_posix()


def copy_c_sources(package: Path) -> None:
    """Put the C that MLP.to_c makes its files of beside the module that takes it apart."""
    folder = package / "files/csrc"
    folder.mkdir(parents=True, exist_ok=True)
    for name in C_OF_MODELS:
        shutil.copyfile(Path("csrc", name), folder / Path(name).name)


def extensions() -> list[Extension]:
    # A pass sees the kernels' headers, the lists in them and the other passes' declarations: edit one and it is built
    # again. The kernels themselves are objects of one extension alone.
    lists = [f"csrc/ops/{kind}.inl" for kind in ("activation", "loss", "optimizer")]
    headers = files_under("csrc", ".h", ".def") + lists + files_under(f"{PACKAGE}/passes", ".pxd", ".h")
    headers += [f"{PACKAGE}/__init__.pxd", f"{PACKAGE}/include/fastmlp.h"]
    kernels = files_under("csrc", ".c", ".inl")
    sources = {
        ".".join(Path(source).relative_to("src").with_suffix("").parts): source
        for source in files_under(f"{PACKAGE}/passes", ".pyx")
    }
    return [
        Extension(
            name,
            [source],
            include_dirs=["csrc", f"{PACKAGE}/passes", f"{PACKAGE}/include"],
            depends=headers + kernels if name == KERNELS else headers,
        )
        for name, source in sources.items()
    ] + [Extension(SHARED, [])]  # which Cython writes


def what_is_built() -> dict[str, Any]:
    if enabled("FASTMLP_PURE"):
        return {"cmdclass": {"build_py": BuildPure}}
    return {"ext_modules": extensions(), "cmdclass": {"build_ext": BuildKernelsAndPasses}}


def licence() -> dict[str, str]:
    """Under the name that this version of setuptools has for it: pyproject.toml's form changed with 77."""
    expression = int(setuptools.__version__.partition(".")[0]) >= 77
    return {"license_expression" if expression else "license": "BSD-3-Clause"}


if __name__ == "__main__":  # cythonize's workers may import this file
    setup(**licence(), **what_is_built())
