"""`fit_many` by a cluster of Ray, which is made on this machine and takes some time to begin with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from processes import trains_though_a_worker_dies

pytestmark = pytest.mark.slow


def test_all_networks_come_back_though_a_worker_of_ray_dies(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    from ray.util.multiprocessing import Pool

    monkeypatch.setattr("fastmlp.many.crews.LARGE", 256)  # so that the data are shared
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests / "helpers"), str(tests), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
    try:
        trains_though_a_worker_dies(Pool(2), tmp_path / "died")
    finally:
        ray.shutdown()


def test_the_example_trains_what_processes_do():
    pytest.importorskip("ray")
    printed = [
        subprocess.run([sys.executable, str(ROOT / "examples" / "distributed" / name)], capture_output=True, check=True)
        for name in ("ray_workers.py", "processes.py")
    ]
    assert printed[0].stdout == printed[1].stdout
