"""Training on several ranks: a whole batch's gradient, the same bits on any number of them, ends that all see."""

import json
import re
import subprocess
import sys

import pytest
from places import ROOT
from ranks import PATIENCE, finish, run, start, start_program

import fastmlp

pytest.importorskip("mpi4py")


@pytest.mark.parametrize("n", [2, 4])
def test_a_step_takes_the_mean_over_the_rows_of_all_ranks(n, tmp_path):
    answers = run(n, "mean", tmp_path)
    for answer in answers:
        assert [kind["digest"] for kind in answer] == [kind["digest"] for kind in answers[0]]
        for kind in answer:
            assert kind["steps"] == 50
            assert max(kind["far"]) <= 1e-12


def test_exact_steps_have_the_same_bits_on_any_number_of_ranks_and_any_parts(tmp_path):
    digests = [digest for answer in run(4, "exact", tmp_path) for digest in answer]
    assert len(digests) == 1 + 2 * (2 + 3 + 4)
    assert len(set(digests)) == 1


def test_calls_that_do_not_go_together_are_refused_on_all_ranks_and_change_nothing(tmp_path):
    words = [
        ("ValueError", "rank 1 of 2 refused the call: ValueError"),
        ("ValueError", "rank 0 has batch_size 10, rank 1 11"),
        ("ValueError", "exact=1 cuts a batch into 1 shares, and 2 ranks need one each"),
        ("ValueError", "mixup mixes each row"),
        ("ValueError", "dropout and noise are for steps, of which LBFGS makes none"),
        ("ValueError", "per_sample is not for a training with comm"),
        ("ValueError", "class_weight='balanced' is not for"),
        ("TypeError", "comm must be an mpi4py communicator such as MPI.COMM_WORLD, got 'world'"),
        ("ValueError", "exact adds up the gradients of every step"),
        ("TypeError", "resume must be True or a path"),
        ("trained", ""),
    ]
    first, second = run(2, "refused", tmp_path)
    assert first[0][0] == "RuntimeError"  # of another rank's error
    assert second[-2][0] == "RuntimeError"  # rank 0 reads what is resumed
    assert "rank 0 of 2 refused the call: TypeError: resume" in second[-2][1]
    for place, (kind, word) in enumerate(words):
        for rank, answer in enumerate((first, second)):
            if (rank, place) not in {(0, 0), (1, 9)}:
                assert answer[place][0] == kind
            assert answer[place][2]
        assert word in first[place][1]


def test_ranks_stop_fail_and_go_on_together(tmp_path):
    first, second = run(2, "agreed", tmp_path)
    assert first.keys() == second.keys()
    for name, (digest, *rest) in first.items():
        if name != "resumed":
            assert [digest, *rest] == second[name], name
    assert first["stopped"][1] == "EarlyStopping"
    assert first["stopped"][2] < 0.1
    assert first["one"][1:] == ["Ends", 2]
    assert first["seconds"][1] == "max_seconds"
    assert first["raised"][1:] == ["OSError", 2]
    assert first["diverged"][1] == "TrainingDiverged"
    assert first["resumed"][0] == second["resumed"][0] == first["whole"][0]
    assert [first["resumed"][2], second["resumed"][2]] == [1, 0]  # rank 0 alone writes


def test_steps_that_ranks_make_alone_are_averaged_by_their_rows(tmp_path):
    first, second = run(2, "local", tmp_path)
    assert first == second
    assert first[0] <= 1e-12


def test_batches_of_all_ranks_make_a_step_until_the_last_rank_is_at_its_end(tmp_path):
    first, second = run(2, "batches", tmp_path)
    assert first == second
    assert max(first[1:]) <= 1e-12


def ended(n, scenario, folder):
    """Run a scenario that does not come to its end; what it wrote to standard error."""
    process = start(n, scenario, folder)
    try:
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode != 0
    return err


def test_a_training_whose_rank_was_killed_is_gone_on_with_on_other_ranks_to_the_same_bits(tmp_path):
    ended(2, "killed", tmp_path)
    assert (tmp_path / "killed.safetensors").exists()
    digests = [digest for answer in run(3, "after", tmp_path) for digest in answer]
    assert len(set(digests)) == 1


def test_a_rank_that_raises_ends_the_others(tmp_path):
    err = ended(2, "raised", tmp_path)
    assert "fastmlp: rank 1 of 2 raised, which ends all of them" in err
    assert "OSError: rank 1 has no disk left" in err


EXAMPLE = ROOT / "examples" / "distributed" / "mpi.py"


@pytest.mark.skipif(not EXAMPLE.exists(), reason="no examples here")
def test_the_example_learns(tmp_path):
    out = finish(start_program(2, EXAMPLE, FOLDER=str(tmp_path / "data")))
    assert re.search(r"2 ranks, 10000 rows here: accuracy 0\.9\d", out)


BENCH = ROOT / "bench" / "scaling.py"


@pytest.mark.skipif(not BENCH.exists(), reason="no benchmarks here")
def test_the_benchmark_runs(tmp_path):
    options = ["--rounds", "1", "--steps", "1", "--epochs", "1", "--json", str(tmp_path / "found.json")]
    done = subprocess.run([sys.executable, str(BENCH), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["kept"].keys() == found["rounds"][0]["ranks"].keys() == found["rounds"][0]["alone"].keys()
    assert all(kept > 0 for kept in found["kept"].values())


def test_arguments_of_several_ranks_are_refused_without_them():
    net = fastmlp.MLP([1, 1])
    for call in ({"exact": True}, {"sync_every": 2}):
        with pytest.raises(ValueError, match=f"{next(iter(call))} is of a training by several processes: give comm"):
            net.fit([[1.0]], [1.0], **call)
