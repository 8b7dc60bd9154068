"""Schedules: their values by formulas and by PyTorch's, however a run is cut, in files, and in trainings."""

import dataclasses
import json
import math
import pickle
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import schedules as s
from fastmlp.spec import Optimizer, Schedule
from fastmlp.spec.schedules import SCHEDULES
from fastmlp.spec.tables import cos_of_half_turns, log2, power_of

T = 40


def restarts(t):
    """Periods of 4, 8, 16, ..., each from half as high as the last."""
    number = np.floor(np.log2(t / 4 + 1))
    return 0.01 + (0.3 * 0.5**number - 0.01) * (1 + np.cos(np.pi * (t / 4 + 1 - 2**number) / 2**number)) / 2


def halved(step):
    """A schedule as a function that can be pickled."""
    assert type(step) is int
    return 0.3 * 0.5 ** (step // 9)


CASES = [
    (s.Constant(0.3), lambda t: 0.3 + 0 * t),
    (s.Linear(0.3, steps=T, end=0.1), lambda t: 0.1 + 0.2 * (1 - np.minimum(t / T, 1))),
    (s.Polynomial(0.3, steps=T, power=2.5), lambda t: 0.3 * (1 - np.minimum(t / T, 1)) ** 2.5),
    (s.Step(0.3, every=7, factor=0.5), lambda t: 0.3 * 0.5 ** (t // 7)),
    (s.MultiStep(0.3, at=[5, 6, 30], factor=0.2), lambda t: 0.3 * 0.2 ** ((t >= 5) + 0 + (t >= 6) + (t >= 30))),
    (s.Exponential(0.3, steps=9, factor=0.5), lambda t: 0.3 * 0.5 ** (t / 9)),
    (s.Exponential(0.3, steps=9, factor=0.5, staircase=True), lambda t: 0.3 * 0.5 ** (t // 9)),
    (s.InverseSqrt(0.3, timescale=5), lambda t: 0.3 / np.sqrt(1 + t / 5)),
    (s.InverseScaling(0.3, power=1.5), lambda t: 0.3 / (t + 1) ** 1.5),
    (s.Cosine(0.3, steps=T, end=0.1), lambda t: 0.1 + 0.2 * (1 + np.cos(np.pi * np.minimum(t / T, 1))) / 2),
    (s.CosineRestarts(0.3, period=8), lambda t: 0.3 * (1 + np.cos(np.pi * (t % 8) / 8)) / 2),
    (s.CosineRestarts(0.3, period=4, longer=2, factor=0.5, end=0.01), restarts),
    (
        s.OneCycle(0.3, steps=T, rise=0.25, begin=0.1, end=0.01),
        lambda t: 0.3 * np.where(
            t < T / 4,
            1 - 0.9 * (1 + np.cos(np.pi * np.minimum(4 * t / T, 1))) / 2,
            0.01 + 0.99 * (1 + np.cos(np.pi * np.clip((t - T / 4) / (0.75 * T), 0, 1))) / 2,
        ),
    ),
    (
        s.FlatCosine(0.3, steps=T, flat=0.75),
        lambda t: 0.3 * (1 + np.cos(np.pi * np.clip((t - 0.75 * T) / (0.25 * T), 0, 1))) / 2,
    ),
    (
        s.CosLog(0.3, steps=T, cycles=3),
        lambda t: 0.3 * (1 - np.cos(2 * np.pi * np.log2(1 + 7 * np.minimum(t / T, 1)))) / 2,
    ),
    (s.Function(halved), lambda t: 0.3 * 0.5 ** (t // 9)),
]  # fmt: skip
EVERY = [
    *(schedule for schedule, _ in CASES),
    s.Cosine(0.3, steps=T, warmup=11),
    s.Step(0.3, every=3, warmup=5),
    s.Linear(0.3, steps=T, by="epoch"),
    s.Function(halved, warmup=3),
]
IN_FILES = [schedule for schedule in EVERY if schedule.name in SCHEDULES]


def test_there_is_a_case_for_every_schedule():
    assert {schedule.name for schedule, _ in CASES} == {*SCHEDULES, "function"}
    assert {kind.__name__ for kind in SCHEDULES.values()} | {"Schedule", "Function"} == set(s.__all__)


def shown(schedule):
    """Write a schedule without the place of a function in memory, which is another in each process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(schedule))


@pytest.mark.parametrize(("schedule", "formula"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_values_by_their_formulas(schedule, formula):
    np.testing.assert_allclose(schedule.values(0, 60), formula(np.arange(60.0)), rtol=1e-13, atol=1e-15)
    assert schedule(17) == schedule.values(17, 1)[0]


@pytest.mark.parametrize("schedule", EVERY, ids=shown)
@pytest.mark.parametrize("start", [0, 1, 10, 11, 12, 39, 1500])
def test_values_do_not_depend_on_where_a_run_is_cut(schedule, start):
    whole = schedule.values(0, 4000)
    for steps in (0, 1, 30, 2000):
        assert schedule.values(start, steps).tobytes() == whole[start : start + steps].tobytes()


def test_a_rate_may_rise_steeply():
    values = s.Exponential(1e-6, steps=9, factor=1e9).values(0, 10)  # whose powers overflow a little further on
    np.testing.assert_allclose(values, np.geomspace(1e-6, 1e3, 10), rtol=1e-12)


@pytest.mark.parametrize("schedule", EVERY, ids=shown)
def test_values_of_steps_that_a_file_may_claim(schedule):
    values = schedule.values(2**61, 5)
    assert values.shape == (5,)
    assert np.isfinite(values).all()
    assert schedule.values(2**61, 0).shape == (0,)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warmup_rises_in_a_line_to_where_the_schedule_begins(name):
    kind = SCHEDULES[name]
    fields = set(kind.__dataclass_fields__) & {"steps", "every", "at", "period"}
    arguments = {field: [3, 90] if field == "at" else 100 for field in fields}
    plain, warm = kind(0.5, **arguments), kind(0.5, **arguments, warmup=20)
    values = warm.values(0, 300)
    np.testing.assert_allclose(values[:20], plain(0) * np.arange(1, 21) / 21, rtol=1e-14)
    assert values[20] == plain(0)
    if "steps" in fields and name != "exponential":
        np.testing.assert_allclose(values[100:], plain.values(100, 200), rtol=1e-13, atol=1e-16)  # of all steps
    else:
        assert values[20:].tobytes() == plain.values(0, 280).tobytes()


def test_functions_that_are_the_same_bits_everywhere():
    x = np.linspace(0, 1, 10_001)
    np.testing.assert_allclose(cos_of_half_turns(x), np.cos(np.pi * x), atol=3e-16)
    x = np.random.default_rng(0).uniform(0.01, 1e6, 10_000)
    np.testing.assert_allclose(log2(x), np.log2(x), rtol=3e-16, atol=3e-16)
    for power in (0.5, 1.0, 1.5, 4.0):
        np.testing.assert_allclose(power_of(x, power), x**power, rtol=1e-15)


def torchs(lr_scheduler):
    """PyTorch's schedulers of the same values, and those as ours."""
    return [
        (lambda o: lr_scheduler.CosineAnnealingLR(o, T, 0.01), s.Cosine(0.3, steps=T, end=0.01), T),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2), s.CosineRestarts(0.3, period=5, longer=2), 60),
        (lambda o: lr_scheduler.StepLR(o, 7, 0.5), s.Step(0.3, every=7, factor=0.5), 60),
        (lambda o: lr_scheduler.MultiStepLR(o, [3, 20], 0.2), s.MultiStep(0.3, at=[3, 20], factor=0.2), 60),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.9), s.Exponential(0.3, steps=1, factor=0.9), 60),
        (lambda o: lr_scheduler.PolynomialLR(o, T, 2.0), s.Polynomial(0.3, steps=T, power=2.0), 60),
        (  # theirs counts from the first step to the last, and rises until 11 / 41 of 41 less one
            lambda o: lr_scheduler.OneCycleLR(o, 0.3, 41, pct_start=11 / 41, cycle_momentum=False),
            s.OneCycle(0.3, steps=40, rise=0.25),
            40,
        ),
    ]


def test_values_are_those_of_pytorchs_schedulers():
    torch = pytest.importorskip("torch")
    for make, ours, steps in torchs(torch.optim.lr_scheduler):
        optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=0.3)
        scheduler, found = make(optimizer), []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(ours.values(0, steps), found, rtol=1e-10, atol=1e-14, err_msg=repr(ours))


# --- arguments and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: s.Cosine(0.0, steps=3), ValueError, "value must be > 0, got 0.0"),
        (lambda: s.Cosine(1.0, steps=0), ValueError, "steps must be from 1 to"),
        (lambda: s.Cosine(1.0, steps=3.0), TypeError, "steps must be an integer"),
        (lambda: s.Cosine(1.0, steps=3, warmup=3), ValueError, "warmup must be less than steps=3, got 3"),
        (lambda: s.Constant(1.0, warmup=-1), ValueError, "warmup must be from 0 to"),
        (lambda: s.Cosine(1.0, steps=3, end=-1), ValueError, "end must be >= 0"),
        (lambda: s.Polynomial(1.0, steps=3, power=0.7), ValueError, "power must be a multiple of 0.5, at most 64"),
        (lambda: s.MultiStep(1.0, at=[3, 3]), ValueError, r"at must rise, got \(3, 3\)"),
        (lambda: s.MultiStep(1.0, at=[3, 4.0]), TypeError, r"at\[1\] must be an integer"),
        (lambda: s.MultiStep(1.0, at="34"), TypeError, "at must be a sequence of integers"),
        (lambda: s.OneCycle(1.0, steps=3, rise=0.0), ValueError, "rise must be > 0 and < 1"),
        (lambda: s.CosLog(1.0, steps=3, cycles=40), ValueError, "cycles must be from 1 to 32"),
        (lambda: s.CosineRestarts(1.0, period=0), ValueError, "period must be from 1"),
        (lambda: s.Exponential(1.0, steps=3, factor=math.inf), ValueError, "factor must be finite"),
        (lambda: s.Cosine(1.0, 3, decay_steps=4), TypeError, "unexpected keyword argument 'decay_steps'"),
        (lambda: fastmlp.NAdam(beta1=s.Constant(0.5)), TypeError, "beta1 must be a real number"),
        (lambda: fastmlp.RAdam(beta2=lambda step: 0.5), TypeError, "beta2 must be a real number"),
        (lambda: fastmlp.Adam(epsilon=s.Constant(0.5)), TypeError, "epsilon must be a real number"),
        (
            lambda: fastmlp.Adam(beta1=s.Linear(1.1, 9)).scalars(0, 9),
            ValueError,
            "beta1 must be < 1 at all times, got 1",
        ),
        (
            lambda: fastmlp.SGD(momentum=s.Constant(1.0, by="epoch")).scalars(0, 1),
            ValueError,
            "momentum must be < 1 at",
        ),
        (lambda: fastmlp.Adam("0.1"), TypeError, "learning_rate must be a real number"),
        (lambda: fastmlp.Adam(s.Cosine), TypeError, "learning_rate must be a real number, got <class"),
        (lambda: s.Constant(1.0, by="batch"), ValueError, "by must be one of 'step', 'epoch', got 'batch'"),
        (lambda: s.Constant(1.0, by=3), TypeError, "by must be a str"),
        (lambda: s.Function(0.1), TypeError, "function must be a function of a step, got 0.1 of type float"),
        (lambda: s.Function(lambda step: -1.0)(3), ValueError, "schedule at step 3 must be >= 0, got -1.0"),
        (lambda: s.Function(lambda step: None, by="epoch")(0), TypeError, "schedule at epoch 0 must be a real number"),
    ],
)
def test_errors_name_the_argument(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("schedule", IN_FILES, ids=repr)
def test_schedules_survive_a_round_trip(schedule):
    data = json.loads(json.dumps(schedule.to_dict()))
    assert Schedule.from_dict(data) == schedule
    optimizer = fastmlp.AdamW(schedule, weight_decay=schedule)
    assert Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict()))) == optimizer
    for change in ({"name": "magic"}, {"extra": 1}, {"value": None}, {"value": {"name": "constant"}}):
        with pytest.raises((TypeError, ValueError)):
            Schedule.from_dict(data | change)
    with pytest.raises(ValueError, match="keys"):
        Schedule.from_dict({"name": schedule.name})


# --- trainings -------------------------------------------------------------------------------------------------------

RATE = s.Cosine(0.05, steps=25, warmup=4)


def problem(backend):
    rng = np.random.default_rng(0)
    return fastmlp.MLP([5, 9, 2], seed=3, backend=backend), rng.normal(size=(50, 5)), rng.normal(size=(50, 2))


def parameters(net):
    return b"".join(array.tobytes() for array in (*net.weights, *net.biases))


@pytest.mark.parametrize(
    "optimizer",
    [fastmlp.SGD(RATE, momentum=0.9), fastmlp.Adam(RATE), fastmlp.AdamW(RATE, weight_decay=s.Linear(0.1, steps=30)),
     fastmlp.NAdam(RATE), fastmlp.RAdam(RATE), fastmlp.AdaMax(RATE), fastmlp.AMSGrad(RATE), fastmlp.RMSprop(RATE),
     fastmlp.Adagrad(RATE, learning_rate_decay=0.1), fastmlp.Adadelta(RATE), fastmlp.Lion(RATE)],
    ids=lambda optimizer: optimizer.name,
)  # fmt: skip
def test_a_training_is_that_of_steps_with_each_rate(optimizer, backend):
    scheduled, X, y = problem(backend)
    scheduled.fit(X, y, epochs=3, batch_size=7, shuffle=False, optimizer=optimizer)
    stepped, *_ = problem(backend)
    for number in range(scheduled.n_steps):
        rows = slice(number % 8 * 7, number % 8 * 7 + 7)
        values = {
            name: getattr(optimizer, name)(number)
            for name in ("learning_rate", "weight_decay")
            if isinstance(getattr(optimizer, name, None), Schedule)
        }
        arguments = {key: value for key, value in optimizer.to_dict().items() if key != "name"} | values
        stepped.step(X[rows], y[rows], optimizer=type(optimizer)(**arguments))
    assert scheduled.n_steps == 24
    assert parameters(scheduled) == parameters(stepped)


RISING = s.Linear(0.5, steps=25, end=0.9, warmup=2)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (fastmlp.SGD, ["momentum"]), (fastmlp.RMSprop, ["rho", "momentum"]), (fastmlp.Adadelta, ["rho"]),
        (fastmlp.Lion, ["beta1", "beta2"]), (fastmlp.Adam, ["beta1", "beta2"]), (fastmlp.AdamW, ["beta1", "beta2"]),
        (fastmlp.AMSGrad, ["beta1", "beta2"]), (fastmlp.AdaMax, ["beta1", "beta2"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["step", "epoch"])
def test_momenta_and_betas_may_be_schedules(tmp_path, backend, kind, names, by):
    changing = dataclasses.replace(RISING, by=by)
    optimizer = kind(**dict.fromkeys(names, changing))
    assert Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict()))) == optimizer
    scheduled, X, y = problem(backend)
    scheduled.fit(X, y, epochs=2, batch_size=7, shuffle=False, optimizer=optimizer)
    scheduled.save(tmp_path / "m")
    scheduled = fastmlp.load(tmp_path / "m", backend=backend)
    scheduled.fit(X, y, epochs=1, batch_size=7, shuffle=False)
    stepped, *_ = problem(backend)
    for number in range(24):
        rows = slice(number % 8 * 7, number % 8 * 7 + 7)
        now = changing(number if by == "step" else number // 8)
        stepped.step(X[rows], y[rows], optimizer=kind(**dict.fromkeys(names, now)))
    for mine, other in zip(scheduled.weights, stepped.weights, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    whole = optimizer.scalars(0, 3000)
    assert np.isfinite(whole).all()
    assert optimizer.scalars(1700, 900).tobytes() == whole[1700:2600].tobytes()
    assert np.isfinite(optimizer.scalars(2**61, 5)).all()


def test_dampening_rests_where_a_scheduled_momentum_is_0():
    rows = fastmlp.SGD(momentum=lambda step: 0.5 * (step != 2), dampening=0.25).scalars(0, 4)
    assert rows[:, 3].tolist() == [1.0, 0.75, 1.0, 0.75]


def test_a_training_that_is_saved_goes_on_exactly(tmp_path, backend):
    whole, X, y = problem(backend)
    whole.fit(X, y, epochs=3, batch_size=7, optimizer=fastmlp.Adam(RATE))
    part, *_ = problem(backend)
    part.fit(X, y, epochs=2, batch_size=7, optimizer=fastmlp.Adam(RATE))
    part.save(tmp_path / "m")
    part = fastmlp.load(tmp_path / "m", backend=backend)
    assert part.optimizer == fastmlp.Adam(RATE)
    part.fit(X, y, epochs=1, batch_size=7)
    assert parameters(part) == parameters(whole)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_schedules_by_epochs_keep_their_value_within_each(tmp_path, backend, cut):
    rate, decay = s.Step(0.05, every=2, factor=0.5, warmup=1, by="epoch"), s.Linear(0.1, steps=4, by="epoch")
    net, X, y = problem(backend)
    net.fit(X, y, epochs=2)  # of another rule: the schedules begin behind them
    byhand = pickle.loads(pickle.dumps(net))
    optimizer = fastmlp.AdamW(rate, weight_decay=decay)
    net.fit(X, y, epochs=cut, batch_size=7, optimizer=optimizer)
    net.save(tmp_path / "m")
    loaded, copied = fastmlp.load(tmp_path / "m", backend=backend), pickle.loads(pickle.dumps(net))
    for epoch in range(5):
        byhand.fit(X, y, batch_size=7, epochs=1, optimizer=fastmlp.AdamW(rate(epoch), weight_decay=decay(epoch)))
    for same in (net, loaded, copied):
        assert same.optimizer == optimizer
        same.fit(X, y, epochs=5 - cut, batch_size=7)
        assert parameters(same) == parameters(byhand)
    net.reset_optimizer()
    byhand.reset_optimizer()
    net.step(X, y)
    byhand.step(X, y, optimizer=fastmlp.AdamW(rate(0), weight_decay=decay(0)))
    assert parameters(net) == parameters(byhand)


def test_where_the_epochs_of_an_optimizer_begin_is_in_the_file_if_it_is_not_the_first(tmp_path, backend):
    net, X, y = problem(backend)
    net.fit(X, y, epochs=2)
    net.save(tmp_path / "m")
    assert b"first_epoch" not in (tmp_path / "m").read_bytes()
    net.fit(X, y, epochs=1, optimizer="sgd")
    net.save(tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    assert b'\\"first_epoch\\": 2' in whole
    for wrong in (b"4", b"x"):
        (tmp_path / "m").write_bytes(whole.replace(b'\\"first_epoch\\": 2', b'\\"first_epoch\\": ' + wrong))
        with pytest.raises(ValueError, match=r"first_epoch must be from 0 to 3|not valid JSON"):
            fastmlp.load(tmp_path / "m")


def test_a_function_is_a_schedule_which_pickles_hold_and_files_do_not(tmp_path, backend):
    steps = []

    def noted(step):
        steps.append(step)
        return halved(step)

    net, X, y = problem(backend)
    net.fit(X, y, epochs=2, batch_size=7, optimizer=fastmlp.SGD(noted))
    assert steps == list(range(16))
    stepped, *_ = problem(backend)
    stepped.fit(X, y, epochs=2, batch_size=7, optimizer=fastmlp.SGD(s.Step(0.3, every=9, factor=0.5)))
    assert parameters(net) == parameters(stepped)
    with pytest.raises(TypeError, match="cannot be saved in a file, from which nothing is executed: set net.optimizer"):
        net.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    net.optimizer = fastmlp.SGD(halved)
    same = pickle.loads(pickle.dumps(net))
    for each in (net, same, stepped):
        each.fit(X, y, epochs=1, batch_size=7)
    assert parameters(net) == parameters(same) == parameters(stepped)

    before = parameters(net)
    with pytest.raises(ValueError, match="schedule at step 24 must be finite"):
        net.fit(X, y, optimizer=fastmlp.SGD(lambda step: math.nan))
    assert parameters(net) == before


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_counts_epochs():
    sklearn = pytest.importorskip("fastmlp.sklearn")
    _, X, y = problem("numpy")
    common = {"hidden_layer_sizes": 9, "max_iter": 6, "n_iter_no_change": 50, "batch_size": 10, "random_state": 0}
    by_epoch, by_step = s.Step(0.05, every=2, factor=0.5, by="epoch"), s.Step(0.05, every=10, factor=0.5)
    curves = [
        sklearn.MLPRegressor(**common, optimizer=fastmlp.Adam(rate)).fit(X, y).loss_curve_
        for rate in (by_epoch, by_step)
    ]
    assert curves[0] == curves[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_takes_a_schedule():
    sklearn = pytest.importorskip("fastmlp.sklearn")
    _, X, y = problem("numpy")
    common = {"hidden_layer_sizes": 9, "max_iter": 30, "n_iter_no_change": 50, "batch_size": 50, "random_state": 0}
    with_rate, without = (
        sklearn.MLPRegressor(**common, optimizer=fastmlp.Adam(rate)).fit(X, y).loss_curve_ for rate in (RATE, 0.05)
    )
    assert with_rate[0] == without[0]
    assert with_rate[1:] != without[1:]
    assert np.ptp(with_rate[25:]) < 1e-12  # the rate is 0
