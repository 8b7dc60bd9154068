"""Choice of the backend, import of the extension, threads and what caps them, the report, a light import."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from conftest import EXTENSION, parameters

import fastmlp
from fastmlp import runtime
from fastmlp.runtime import backend as backends
from fastmlp.runtime import report, threads
from fastmlp.runtime.threads import cgroup_quota

needs_extension = pytest.mark.skipif(EXTENSION is None, reason="the extension is missing")


def python(code, **environment):
    """Run code in a fresh interpreter that finds the same fastmlp; its standard output."""
    source = Path(fastmlp.__file__).parent.parent
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "FASTMLP_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=kept | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def missing(monkeypatch):
    """Make the extension look missing."""
    runtime.get_backend.cache_clear()
    for module in (backends, threads, report):
        monkeypatch.setattr(module, "load_passes", lambda: (None, "ImportError: gone"))
    for module in (backends, report):
        monkeypatch.setattr(module, "is_pure", lambda: False)
    monkeypatch.setattr(backends._process, "warned", False)


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fastmlp.__version__)
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.exists():
        assert f'\nversion = "{fastmlp.__version__}"\n' in project.read_text()
    try:
        installed = importlib.metadata.version("fastmlp")
    except importlib.metadata.PackageNotFoundError:
        return
    assert installed == fastmlp.__version__


def test_import_is_light_and_silent():
    heavy = ("tqdm", "scipy", "sklearn", "torch", "matplotlib", "safetensors", "onnx", "pandas", "multiprocessing")
    loaded = python(f"import sys, fastmlp; print([name for name in {heavy} if name in sys.modules])")
    assert loaded == "[]\n"


def test_an_import_without_the_extension_is_silent():
    code = "import sys; sys.modules['fastmlp.passes'] = None; import fastmlp; print(fastmlp.get_num_threads() >= 1)"
    assert python(code) == "True\n"  # what goes to stderr is an error in there


def test_typed():
    assert (Path(fastmlp.__file__).parent / "py.typed").exists()


# ---- backends -------------------------------------------------------------------------------------------------------


def test_backend_by_name(backend):
    assert runtime.get_backend(backend).name == backend
    assert fastmlp.MLP([2, 1], backend=backend).backend == backend


@pytest.mark.parametrize("requested", [None, "auto"])
def test_backend_by_default(requested):
    assert fastmlp.MLP([2, 1], backend=requested).backend == ("numpy" if EXTENSION is None else "cython")


def test_a_missing_extension_warns_once(monkeypatch):
    missing(monkeypatch)
    with pytest.warns(RuntimeWarning, match=r"NumPy reference, several times slower.*ImportError: gone") as caught:
        assert fastmlp.MLP([2, 1]).backend == "numpy"
    assert [warning.filename for warning in caught] == [__file__]
    assert fastmlp.MLP([2, 1]).backend == "numpy"  # a second warning would be an error here
    monkeypatch.setattr(backends._process, "warned", False)
    assert fastmlp.MLP([2, 1], backend="numpy").backend == "numpy"


def test_a_missing_extension_when_it_is_demanded(monkeypatch, tmp_path):
    fastmlp.MLP([2, 1], backend="numpy").save(tmp_path / "net")
    missing(monkeypatch)
    for demand in (lambda: fastmlp.MLP([2, 1], backend="cython"), lambda: fastmlp.load(tmp_path / "net", "cython")):
        with pytest.raises(ImportError, match=r"ImportError: gone.*C compiler.*backend='numpy'"):
            demand()
    assert runtime.config()["backend"] == "numpy"
    assert "gone" in runtime.config()["backend_reason"]


def test_a_pure_wheel_is_told_apart_from_an_extension_that_is_missing(monkeypatch):
    missing(monkeypatch)
    monkeypatch.setattr(backends, "is_pure", lambda: True)
    assert fastmlp.MLP([2, 1]).backend == "numpy"  # a warning would be an error here
    monkeypatch.undo()
    monkeypatch.setattr(backends, "import_module", types.ModuleType)
    monkeypatch.setattr(backends, "is_pure", lambda: True)
    assert "FASTMLP_PURE=1" in backends.load_passes.__wrapped__()[1]


@needs_extension
def test_pickles_choose_their_backend_again(monkeypatch):
    import pickle

    chosen, demanded = fastmlp.MLP([2, 1], seed=0), fastmlp.MLP([2, 1], seed=0, backend="numpy")
    assert pickle.loads(pickle.dumps(demanded)).backend == "numpy"
    stored = pickle.dumps(chosen)
    missing(monkeypatch)
    with pytest.warns(RuntimeWarning):
        loaded = pickle.loads(stored)
    assert loaded.backend == "numpy"
    assert parameters(loaded) == parameters(demanded)


def test_sources_that_were_not_compiled_are_no_backend(monkeypatch):
    monkeypatch.setattr(backends, "import_module", types.ModuleType)
    monkeypatch.setattr(backends, "is_pure", lambda: False)
    assert backends.load_passes.__wrapped__() == (None, "ImportError: fastmlp.passes has not been compiled")


# ---- threads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("2", TypeError), (True, TypeError)]
)
def test_set_num_threads_arguments(value, error):
    fastmlp.set_num_threads(3)
    with pytest.raises(error, match="n must be "):
        fastmlp.set_num_threads(value)
    assert fastmlp.get_num_threads() == 3


def test_set_num_threads():
    found = fastmlp.get_num_threads()
    assert 1 <= found <= (os.cpu_count() or 1)
    for n in (1, 5, np.int64(2)):
        fastmlp.set_num_threads(n)
        assert fastmlp.get_num_threads() == n
        assert type(fastmlp.get_num_threads()) is int
    fastmlp.set_num_threads(None)
    assert fastmlp.get_num_threads() == found


@pytest.mark.parametrize(
    ("openmp", "affinity", "cgroup", "cap", "argument"),
    [
        (8, 8, None, 8, -8),
        (8, 4, None, 4, -4),
        (8, 8, 3, 3, -3),
        (2, 8, 3, 2, -2),
        (None, 4, None, 4, -4),
        (4, 4, 1, 1, 1),
        (1, 4, None, 1, 1),
    ],
)
def test_the_lowest_limit_caps(monkeypatch, openmp, affinity, cgroup, cap, argument):
    monkeypatch.setattr(threads, "_openmp_threads", lambda: openmp)
    monkeypatch.setattr(threads, "_affinity", lambda: affinity)
    monkeypatch.setattr(threads, "_quota", lambda pid: cgroup)
    assert fastmlp.get_num_threads() == cap
    assert runtime.engine_threads(None) == argument
    assert runtime.engine_threads(7) == 7  # what a call says is what it gets
    fastmlp.set_num_threads(6)
    assert runtime.engine_threads(None) == -6
    assert threads.thread_limits() == {"set_num_threads": 6, "openmp": openmp, "affinity": affinity, "cgroup": cgroup}


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("4,2", 4), ("", None), ("many", None), ("0", None)])
@pytest.mark.parametrize("built", [False, True])
def test_omp_num_threads_without_openmp(monkeypatch, value, expected, built):
    if built:
        module = types.SimpleNamespace(openmp=False, workers=lambda: "pool")
        monkeypatch.setattr(threads, "load_passes", lambda: (module, ""))
    else:
        missing(monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads._openmp_threads() == expected


@needs_extension
def test_omp_num_threads():
    code = "import fastmlp; print(fastmlp.get_num_threads())"
    assert python(code, OMP_NUM_THREADS="1") == "1\n"


@pytest.mark.skipif(EXTENSION is None or not EXTENSION.openmp, reason="OpenMP is missing")
def test_threadpoolctl_caps():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert fastmlp.get_num_threads() == 1


FIRST_USE = """
import {module}
from threadpoolctl import threadpool_limits

with threadpool_limits({arguments}):
    import numpy as np, fastmlp
    limited = fastmlp.get_num_threads()
    net = fastmlp.MLP([64, 256, 256, 1], seed=0)
    net.fit(np.ones((2048, 64)), np.ones(2048), epochs=1, batch_size=512)
    net.predict(np.ones((8192, 64)))
    from pathlib import Path
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
print(limited, names.count("fastmlp"))
"""


@pytest.mark.skipif(EXTENSION is None or not EXTENSION.openmp, reason="OpenMP is missing")
@pytest.mark.parametrize("module", ["fastmlp", "fastmlp.sklearn"])
@pytest.mark.parametrize("arguments", ["1", "1, user_api='openmp'"])
def test_threadpoolctl_caps_the_first_use(module, arguments):
    pytest.importorskip("threadpoolctl")
    if module == "fastmlp.sklearn":
        pytest.importorskip("sklearn")
    assert python(FIRST_USE.format(module=module, arguments=arguments)) == "1 0\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_caps():
    code = (
        "import os, fastmlp; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(fastmlp.get_num_threads())"
    )
    assert python(code) == "1\n"


needs_processors = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="one processor, or no affinity here",
)
AFFINITY = """
import json, os, pathlib, time
before = sorted(os.sched_getaffinity(0))
import numpy as np, fastmlp

net, X = fastmlp.MLP([64, 64, 1], seed=0), np.ones((64, 64))

def look(mask=None):
    "Caller's processors, number of threads, and the processors of the one worker, after some training."
    if mask is not None:
        os.sched_setaffinity(0, mask)
    number = fastmlp.get_num_threads()
    net.fit(X, X[:, 0], epochs=1, threads=2)
    deadline, found = time.monotonic() + 30, []
    while not found and time.monotonic() < deadline:  # a worker may not have got as far as its name
        for task in pathlib.Path("/proc/self/task").iterdir():
            # Asleep: while it starts or wakes, its caller's processor is not among its own.
            if (task / "comm").read_text() == "fastmlp\\n" and "State:\\tS" in (task / "status").read_text():
                found.append(sorted(os.sched_getaffinity(int(task.name))))
    return sorted(os.sched_getaffinity(0)), number, *found

"""


def most(mask):
    """Return the number of threads that there may be on these processors."""
    return min(len(mask), cgroup_quota() or len(mask))


@needs_extension
@needs_processors
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OMP_PROC_BIND": "true"},
        {"OMP_PROC_BIND": "close"},
        {"OMP_PROC_BIND": "spread", "OMP_PLACES": "threads"},
        {"OMP_PLACES": "cores"},
        {"OMP_PLACES": "sockets"},
    ],
    ids=str,
)
def test_binding_by_openmp_takes_no_processors_away(environment):
    before, here = json.loads(python(AFFINITY + "print(json.dumps([before, look()]))", **environment))
    assert here == [before, most(before), before]


@pytest.mark.skipif(EXTENSION is None or not EXTENSION.openmp, reason="OpenMP, which knows its places, is missing")
@needs_processors
def test_a_caller_that_another_openmp_has_bound_has_workers_elsewhere():
    """An OpenMP binds its caller when scikit-learn, which brings an OpenMP of its own, is imported later."""
    code = AFFINITY + "print(json.dumps([before, look(before[:1])]))"
    before, here = json.loads(python(code, OMP_PROC_BIND="true", OMP_PLACES="threads"))
    assert here == [before[:1], most(before), before]


@pytest.mark.skipif(EXTENSION is None or not EXTENSION.openmp, reason="OpenMP is missing")
@needs_processors
def test_places_of_openmp_are_a_limit():
    first = min(os.sched_getaffinity(0))
    before, here = json.loads(python(AFFINITY + "print(json.dumps([before, look()]))", OMP_PLACES=f"{{{first}}}"))
    assert here == [before, 1, [first]]


@needs_extension
@needs_processors
def test_workers_follow_the_affinity_of_who_calls():
    code = AFFINITY + "print(json.dumps([before, [look(m) for m in (before[:1], before, before[1:2], before)]]))"
    before, found = json.loads(python(code))
    assert found == [[mask, most(mask), mask] for mask in (before[:1], before, before[1:2], before)]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cgroup_v2(tmp_path):
    proc, root = tmp_path / "cgroup", tmp_path / "fs"
    write(proc, "0::/a/b\n")
    assert cgroup_quota(proc, root) is None
    write(root / "a/b/cpu.max", "max 100000\n")
    assert cgroup_quota(proc, root) is None
    write(root / "a/cpu.max", "250000 100000\n")  # an ancestor limits too
    assert cgroup_quota(proc, root) == 3
    write(root / "a/b/cpu.max", "150000 100000\n")
    assert cgroup_quota(proc, root) == 2
    write(root / "a/b/cpu.max", "1000 100000\n")
    assert cgroup_quota(proc, root) == 1
    write(root / "a/b/cpu.max", "nonsense")
    assert cgroup_quota(proc, root) == 3


def test_cgroup_v1(tmp_path):
    proc, root = tmp_path / "cgroup", tmp_path / "fs"
    write(proc, "12:memory:/x\n4:cpu,cpuacct:/docker/1\n0::/\n")
    write(root / "cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write(root / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(proc, root) is None
    write(root / "cpu,cpuacct/cpu.cfs_quota_us", "400000\n")  # in a container the mounted root is the group
    assert cgroup_quota(proc, root) == 4
    write(root / "cpu,cpuacct/docker/1/cpu.cfs_quota_us", "120000\n")
    write(root / "cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(proc, root) == 2
    write(root / "cpu,cpuacct/docker/1/cpu.cfs_period_us", "0\n")
    assert cgroup_quota(proc, root) == 4


def test_cgroup_cannot_climb_out(tmp_path):
    proc, root = tmp_path / "cgroup", tmp_path / "fs"
    write(proc, "0::/../../elsewhere\n")
    write(tmp_path / "elsewhere/cpu.max", "100000 100000\n")
    root.mkdir()
    assert cgroup_quota(proc, root) is None
    assert cgroup_quota(tmp_path / "nothing", root) is None


# ---- the report -----------------------------------------------------------------------------------------------------


def test_config():
    c = runtime.config()
    assert c["version"] == fastmlp.__version__
    assert c["numpy"] == np.__version__
    assert c["threads"] == fastmlp.get_num_threads()
    assert c["cpu"]
    assert all(size > 0 for size in c["caches"].values())
    if EXTENSION is None:
        assert (c["backend"], c["isa"], c["isas"]) == ("numpy", "numpy", [])
    else:
        assert c["backend"] == "cython"
        assert c["workers"] == ("pool" if os.name == "posix" else "openmp" if c["openmp"] else "none")
        assert {"name": c["isa"], "available": True}.items() <= {i["name"]: i for i in c["isas"]}[c["isa"]].items()


@pytest.fixture
def workers_as_before():
    yield
    fastmlp.set_workers(None)


@needs_extension
@pytest.mark.parametrize("kind", ["pool", "openmp"])
def test_set_workers(kind, workers_as_before, capsys):
    if kind not in EXTENSION.kinds_of_workers():
        with pytest.raises(ValueError, match=f"workers cannot be '{kind}'"):
            fastmlp.set_workers(kind)
        return
    fastmlp.set_workers(kind)
    c = runtime.config()
    assert (c["workers"], c["workers_reason"]) == (kind, "set_workers")
    fastmlp.show_config()
    assert "(set_workers)" in capsys.readouterr().out
    fastmlp.set_workers(None)
    assert runtime.config()["workers_reason"] in {"the default", f"FASTMLP_WORKERS={c['workers']}"}


@needs_extension
@pytest.mark.parametrize(("wrong", "error"), [("threads", ValueError), (1, TypeError), ("OpenMP", ValueError)])
def test_wrong_workers(wrong, error, workers_as_before):
    before = runtime.config()["workers"]
    with pytest.raises(error, match=f"workers must be 'pool'.* got {wrong!r}"):
        fastmlp.set_workers(wrong)
    assert runtime.config()["workers"] == before


WORKERS = """
import json, os, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastmlp
    from fastmlp import runtime
config = runtime.config()
if hasattr(os, "fork") and os.fork() == 0:
    child = runtime.config()
    os._exit(child["workers"] != "pool" or (config["workers"] != "pool") != ("forked" in child["workers_reason"]))
status = os.wait()[1] if hasattr(os, "fork") else 0
print(json.dumps([config["workers"], config["workers_reason"], [str(w.message) for w in caught], status]))
"""


@needs_extension
@pytest.mark.parametrize("wanted", ["pool", "openmp", "nonsense"])
def test_workers_of_the_environment(wanted):
    environment = os.environ | {"FASTMLP_WORKERS": wanted}
    result = subprocess.run(
        [sys.executable, "-c", WORKERS], env=environment, capture_output=True, text=True, check=True
    )
    kind, reason, warned, status = json.loads(result.stdout)
    assert status == 0
    if wanted in EXTENSION.kinds_of_workers():
        assert (kind, reason, warned) == (wanted, f"FASTMLP_WORKERS={wanted}", [])
    else:
        assert (kind, reason) == (EXTENSION.kinds_of_workers()[0], "the default")
        assert [wanted in text for text in warned] == [True]


def test_show_config(capsys):
    fastmlp.set_num_threads(3)
    assert fastmlp.show_config() is None
    text = capsys.readouterr().out
    for line in ("fastmlp ", "backend ", "ISA ", "compiler ", "OpenMP ", "threads ", "CPU ", "caches ", "NumPy "):
        assert f"\n{line}" in f"\n{text}"
    assert "up to 3 (limits: set_num_threads 3" in text


@needs_extension
@pytest.mark.parametrize("isa", [] if EXTENSION is None else [i["name"] for i in EXTENSION.isas() if i["available"]])
def test_fastmlp_isa_takes(monkeypatch, isa):
    monkeypatch.setenv("FASTMLP_ISA", isa)
    assert fastmlp.MLP([2, 1]).isa == isa
    c = runtime.config()
    assert (c["isa"], c["isa_reason"]) == (isa, f"FASTMLP_ISA={isa}")


@needs_extension
def test_fastmlp_isa_unknown(monkeypatch, capsys):
    monkeypatch.setenv("FASTMLP_ISA", "mmx")
    with pytest.raises(ValueError, match="mmx"):
        fastmlp.MLP([2, 1])
    fastmlp.show_config()  # the report says so; it does not fail
    assert "mmx" in capsys.readouterr().out
