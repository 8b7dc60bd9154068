"""What caps threads and what else has some: OpenMP's variables, threadpoolctl, BLAS, the affinity mask."""

import numpy as np
import pytest
from processes import COMMON, LINUX, in_threads, run, trained

import fastmlp
from fastmlp.passes import threads

LIMITED = (
    COMMON
    + """
print(json.dumps([digest(trained(1)), digest(trained(3)), digest(trained(None)), fastmlp.get_num_threads()]))
"""
)


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1"},
        {"OMP_THREAD_LIMIT": "1"},
        {"OMP_NUM_THREADS": "7", "OMP_DYNAMIC": "true"},
        {"OMP_WAIT_POLICY": "active"},
        {"OMP_PROC_BIND": "true", "OMP_NUM_THREADS": "2"},
    ],
    ids=" ".join,
)
def test_limits_of_openmp_do_not_change_the_bits(environment):
    one, three, chosen, most = run(LIMITED, **environment)
    assert one == three == chosen
    if environment.get("OMP_NUM_THREADS") == "1":
        assert most == 1


def test_threadpoolctl():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    wanted = trained(3, 1)
    assert "openmp" in {pool["user_api"] for pool in threadpoolctl.threadpool_info()} or not threads.openmp
    with threadpoolctl.threadpool_limits(1):
        if threads.openmp:
            assert fastmlp.get_num_threads() == 1
        assert trained(3, None) == trained(3, 2) == wanted
    with threadpoolctl.threadpool_limits(2):
        assert trained(3, None) == wanted


def test_beside_numpy_in_another_thread():
    """BLAS has a pool of its own: neither may wait for the other for ever."""
    a = np.random.default_rng(0).normal(size=(300, 300))
    wanted, product = trained(4, 2), a @ a

    def multiply():
        for _ in range(50):
            np.testing.assert_array_equal(a @ a, product)

    assert in_threads(lambda: trained(4, 2), multiply)[0] == wanted


AFFINITY = f"""{COMMON}
net = fastmlp.MLP([37, 70, 45, 5], output="softmax", seed=1)
allowed, masks = os.sched_getaffinity(0), []
for _ in range(5):
    net.fit(X, y, epochs=2, batch_size=32, threads=2)
    time.sleep(0.05)  # the worker sleeps by now
    for _ in range(1000):
        found = [os.sched_getaffinity(int(worker["Pid"])) for worker in workers(1)]
        if found == [allowed]:
            break
        time.sleep(0.001)
    masks.append([sorted(mask) for mask in found])
print(json.dumps([sorted(allowed), masks]))
"""


@pytest.mark.skipif(not LINUX, reason="affinity is read from Linux")
def test_workers_that_start_beside_their_caller_may_then_run_where_it_may():
    allowed, masks = run(AFFINITY)
    assert masks == [[allowed]] * 5
