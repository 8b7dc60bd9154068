"""`fit_many` by processes of other libraries: the bits of each network alone, also where a worker dies at its work."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from places import ROOT
from processes import DiesOnce, trains_though_a_worker_dies

import fastmlp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a worker is killed by a signal")


@contextmanager
def processes():
    """The standard library's pool, of processes that begin anew."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask():
    """Two workers of Dask, each a process that its nanny begins again."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client.get_executor()


@pytest.mark.parametrize("workers", [processes, dask])
def test_all_networks_come_back_though_a_worker_dies(workers, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.many.crews.LARGE", 256)  # so that the data are shared
    with workers() as executor:
        trains_though_a_worker_dies(executor, tmp_path / "died")


def test_a_pool_that_breaks_again_says_so(tmp_path):
    X = np.zeros((10, 2), np.float32)
    nets = [fastmlp.MLP([2, 1], seed=0)]
    always = [[DiesOnce(tmp_path / "died", always=True)]]
    with processes() as pool, pytest.raises(RuntimeError, match=r"terminated|abruptly"):
        fastmlp.fit_many(nets, X, X[:, 0], epochs=1, callbacks=always, executor=pool)
    assert nets[0].n_epochs == 0


@pytest.mark.parametrize(
    ("name", "module", "launcher"),
    [
        ("dask_workers.py", "distributed", []),
        ("mpi_workers.py", "mpi4py", ["-m", "mpi4py.futures"]),
    ],
)
def test_workers_of_other_libraries_train_what_processes_do(name, module, launcher):
    pytest.importorskip(module)
    folder = ROOT / "examples" / "distributed"
    mpiexec = [str(Path(sys.executable).with_name("mpiexec")), "-n", "3"] if module == "mpi4py" else []
    printed = [
        subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
        for command in (
            [*mpiexec, sys.executable, *launcher, str(folder / name)],
            [sys.executable, str(folder / "processes.py")],
        )
    ]
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == 5
