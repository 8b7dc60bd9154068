"""Training, as experts of each framework would write it for speed on a CPU.

The same for all: data resident in the framework's own tensors, a new order of rows in every epoch (drawn and gathered
within the measured time), batches of equal size, Adam with the same constants, no weight decay, initial weights given.
"""

import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import numpy as np

from _peers.job import LEARNING_RATE, Job
from _peers.tuning import blas_threads, fastest, set_blas_threads

__all__ = ["TRAINERS", "Trainer"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
#: Multiply-adds per step under which the cost of calls and threads is worth tuning.
SMALL_STEP = 2e7


class Trainer(Protocol):
    """One framework with one job; `way` says which of the framework's ways was found to be the fastest."""

    way: str

    def first_epoch(self) -> float:
        """An epoch in the given order of rows from the given weights; the mean of its batches' losses."""

    def tune(self) -> None:
        """Find the fastest way."""

    def epochs(self, n: int) -> None:
        """Epochs in random order; returns when all is computed."""


def step_multiply_adds(job: Job) -> float:
    return job.batch * 3.0 * sum(i * o for i, o in zip(job.sizes, job.sizes[1:], strict=False))


def tune_blas(trainer: "NumPyBackend | ScikitLearn") -> str:
    """Find the number of BLAS threads, and keep it: on small networks one is often faster than all."""
    named = blas_threads(trainer.job.threads)

    def run(n: int) -> None:
        set_blas_threads(n)
        trainer.epochs(1)

    runs: dict[str, Callable[[], None]] = {name: partial(run, n) for name, n in named.items()}
    way = fastest(runs, trainer.job.tune_seconds)
    set_blas_threads(named[way])
    return way


class FastMLP:
    """Our own, through the public interface: `fit` checks X and y at every call, as it does for any user."""

    way = ""

    def __init__(self, job: Job, backend: str = "cython") -> None:
        import fastmlp

        self.job, self.optimizer = job, fastmlp.Adam(LEARNING_RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
        self.X, self.y = job.data()
        self.net = fastmlp.MLP(
            list(job.sizes), activation=job.activation, loss=job.loss, dtype=job.dtype, seed=0, backend=backend
        )
        self.net.weights, self.net.biases = zip(*job.parameters(), strict=True)

    def _fit(self, n: int, shuffle: bool) -> list[float]:
        return self.net.fit(
            self.X,
            self.y,
            epochs=n,
            batch_size=self.job.batch,
            optimizer=self.optimizer,
            shuffle=shuffle,
            threads=self.job.threads or None,
        ).loss

    def first_epoch(self) -> float:
        return self._fit(1, shuffle=False)[0]

    def tune(self) -> None:
        pass

    def epochs(self, n: int) -> None:
        self._fit(n, shuffle=True)


class NumPyBackend(FastMLP):
    def __init__(self, job: Job) -> None:
        super().__init__(job, backend="numpy")

    def tune(self) -> None:
        self.way = tune_blas(self)


class ScikitLearn:
    """`fit` with warm_start: the checks of X and y that partial_fit repeats in every epoch are made once a call."""

    way = "fit, warm_start"

    def __init__(self, job: Job) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        warnings.simplefilter("ignore", ConvergenceWarning)
        self.job = job
        self.X, y = job.data()
        self.y = y if job.classifies or y.shape[1] > 1 else y[:, 0]
        self.model = (MLPClassifier if job.classifies else MLPRegressor)(
            hidden_layer_sizes=job.sizes[1:-1],
            activation=job.activation,
            alpha=0.0,
            batch_size=job.batch,
            learning_rate_init=LEARNING_RATE,
            beta_1=BETA1,
            beta_2=BETA2,
            epsilon=EPSILON,
            tol=0.0,
            n_iter_no_change=2**31,
            warm_start=True,
            random_state=0,
        )
        # Makes the parameters; fit goes on from whatever they hold.
        classes = {"classes": np.arange(job.sizes[-1])} if job.classifies else {}
        self.model.partial_fit(self.X, self.y, **classes)
        for number, (weight, bias) in enumerate(job.parameters()):
            if self.model.coefs_[number].shape != weight.shape:
                raise RuntimeError("scikit-learn makes a single output of two classes")
            self.model.coefs_[number][...] = weight
            self.model.intercepts_[number][...] = bias

    def first_epoch(self) -> float:
        self.model.set_params(max_iter=1, shuffle=False).fit(self.X, self.y)
        # Its squared error is a mean over the outputs, not a sum. Its gradient is that of the sum.
        return float(self.model.loss_curve_[-1]) * (1 if self.job.classifies else self.job.sizes[-1])

    def tune(self) -> None:
        self.model.set_params(shuffle=True)
        self.way = f"{type(self).way}, {tune_blas(self)}"

    def epochs(self, n: int) -> None:
        self.model.set_params(max_iter=n).fit(self.X, self.y)


class TorchEager:
    """nn.Sequential, fused Adam; batches gathered one by one or as slices of a whole epoch gathered at once."""

    def __init__(self, job: Job) -> None:
        import torch
        from torch import nn

        self.torch, self.job, self.way = torch, job, ""
        if job.threads:
            torch.set_num_threads(job.threads)
        self.X, self.y = map(torch.from_numpy, job.data())
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid}[job.activation]
        layers: list[Any] = []
        for weight, bias in job.parameters():
            linear = nn.Linear(*weight.shape, dtype=getattr(torch, job.dtype))
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weight.T))
                linear.bias.copy_(torch.from_numpy(bias))
            layers += [linear, activation()]
        self.net = nn.Sequential(*layers[:-1])
        self.whole = True
        self._prepare()

    def _prepare(self) -> None:
        self.optimizer = self.torch.optim.Adam(
            self.net.parameters(), lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True
        )

    def _loss(self, output: Any, target: Any) -> Any:
        functional = self.torch.nn.functional
        if self.job.classifies:
            return functional.cross_entropy(output, target)
        return functional.mse_loss(output, target) * (0.5 * self.job.sizes[-1])

    def _batches(self, order: Any, whole: bool) -> Iterable[tuple[Any, Any]]:
        if whole:
            return zip(self.X[order].split(self.job.batch), self.y[order].split(self.job.batch), strict=True)
        return ((self.X[rows], self.y[rows]) for rows in order.split(self.job.batch))

    def _epoch(self, order: Any, whole: bool, losses: list[float] | None = None) -> None:
        net, optimizer, loss_of = self.net, self.optimizer, self._loss
        for x, target in self._batches(order, whole):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(net(x), target)
            loss.backward()
            optimizer.step()
            if losses is not None:
                losses.append(loss.item())

    def first_epoch(self) -> float:
        losses: list[float] = []
        threads = self.torch.get_num_threads()
        if step_multiply_adds(self.job) < SMALL_STEP:
            self.torch.set_num_threads(1)
        self._epoch(self.torch.arange(self.job.rows), True, losses)
        self.torch.set_num_threads(threads)
        return math.fsum(losses) / len(losses)

    def tune(self) -> None:
        torch, default = self.torch, self.torch.get_num_threads()
        small = step_multiply_adds(self.job) < SMALL_STEP and not self.job.threads
        ways = [(whole, n) for n in ([1, default] if small and default > 1 else [default]) for whole in (True, False)]

        def run(whole: bool, threads: int) -> None:
            torch.set_num_threads(threads)
            self._epoch(torch.randperm(self.job.rows), whole)

        named = {f"gather per {'epoch' if w else 'batch'}, {n} threads": (w, n) for w, n in ways}
        runs: dict[str, Callable[[], None]] = {name: partial(run, *way) for name, way in named.items()}
        self.way = fastest(runs, self.job.tune_seconds)
        self.whole, threads = named[self.way]
        torch.set_num_threads(threads)

    def epochs(self, n: int) -> None:
        for _ in range(n):
            self._epoch(self.torch.randperm(self.job.rows), self.whole)


class TorchCompile(TorchEager):
    """The whole step as one Inductor graph: forward, backward (torch.func) and Adam, which leaves one call per step.

    Measured against torch.compile of the loss with autograd and fused Adam outside, it is two to four times faster on
    small networks and not slower on large ones.
    """

    def _prepare(self) -> None:
        torch, net, loss_of = self.torch, self.net, self._loss
        from torch import _dynamo

        _dynamo.reset()
        self.state = [
            (name, p.detach().clone(), torch.zeros_like(p), torch.zeros_like(p)) for name, p in net.named_parameters()
        ]
        self.done = 0

        def loss(parameters: dict[str, Any], x: Any, target: Any) -> Any:
            return loss_of(torch.func.functional_call(net, parameters, (x,)), target)

        def step(state: list[tuple[str, Any, Any, Any]], scalars: Any, x: Any, target: Any) -> Any:
            parameters = {name: p for name, p, _, _ in state}
            gradients, value = torch.func.grad_and_value(loss)(parameters, x, target)
            for name, p, m, v in state:
                g = gradients[name]
                m.lerp_(g, 1.0 - BETA1)
                v.mul_(BETA2).addcmul_(g, g, value=1.0 - BETA2)
                p.sub_(scalars[0] * m / (v.sqrt() * scalars[1] + EPSILON))
            return value

        # Inductor writes the number of threads into its code; Dynamo compiles anew when it has changed.
        self.step = torch.compile(step, fullgraph=True, dynamic=False)
        self.step_cpp = torch.compile(step, fullgraph=True, dynamic=False, options={"cpp_wrapper": True})
        all_threads = torch.get_num_threads()
        small = step_multiply_adds(self.job) < SMALL_STEP and not self.job.threads and all_threads > 1
        self.ways = {
            f"C++ wrapper, {n} threads": (self.step_cpp, n) for n in ((1, all_threads) if small else (all_threads,))
        }
        first = 1 if small else all_threads
        self.ways[f"Python wrapper, {first} threads"] = self.step, first
        self.way = next(iter(self.ways))

    def _compiled_epoch(self, way: str, order: Any, losses: list[float] | None = None) -> None:
        torch, state, (step, threads) = self.torch, self.state, self.ways[way]
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        t = torch.arange(self.done + 1, self.done + self.job.steps + 1, dtype=torch.float64)
        scalars = torch.stack([LEARNING_RATE / (1 - BETA1**t), (1 - BETA2**t).rsqrt()], 1).to(self.X.dtype)
        self.done += self.job.steps
        with torch.no_grad():
            for (x, target), s in zip(self._batches(order, True), scalars.unbind(), strict=True):
                loss = step(state, s, x, target)
                if losses is not None:
                    losses.append(loss.item())

    def first_epoch(self) -> float:
        losses: list[float] = []
        self._compiled_epoch(self.way, self.torch.arange(self.job.rows), losses)
        return math.fsum(losses) / len(losses)

    def tune(self) -> None:
        def run(way: str) -> None:
            self._compiled_epoch(way, self.torch.randperm(self.job.rows))

        runs: dict[str, Callable[[], None]] = {way: partial(run, way) for way in self.ways}
        self.way = fastest(runs, self.job.tune_seconds)

    def epochs(self, n: int) -> None:
        for _ in range(n):
            self._compiled_epoch(self.way, self.torch.randperm(self.job.rows))


class JAX:
    """A whole epoch in one jitted `lax.scan`, buffers donated, Adam from optax.

    Rows are gathered within the scan, or for the whole epoch in front of it (up to twice as fast on small networks: a
    gather is a kernel of its own in every step); small steps may be unrolled. NumPy draws the order of rows, faster
    than jax.random.permutation's sort.
    """

    def __init__(self, job: Job) -> None:
        import jax
        import jax.numpy as jnp
        import optax

        jax.config.update("jax_enable_x64", job.dtype == "float64")
        self.jax, self.job, self.rng = jax, job, np.random.default_rng(0)
        X, y = job.data()
        self.X, self.y = jnp.asarray(X), jnp.asarray(y.astype(np.int32) if job.classifies else y)
        optimizer = optax.adam(LEARNING_RATE, b1=BETA1, b2=BETA2, eps=EPSILON)
        self.parameters = jax.tree.map(jnp.asarray, job.parameters())
        self.state = optimizer.init(self.parameters)
        activation = {"relu": jax.nn.relu, "tanh": jnp.tanh, "logistic": jax.nn.sigmoid}[job.activation]

        def loss_of(parameters: list[tuple[Any, Any]], x: Any, target: Any) -> Any:
            for weight, bias in parameters[:-1]:
                x = activation(x @ weight + bias)
            x = x @ parameters[-1][0] + parameters[-1][1]
            if job.classifies:
                return optax.softmax_cross_entropy_with_integer_labels(x, target).mean()
            return 0.5 * jnp.square(x - target).sum(axis=1).mean()

        def update(carry: Any, x: Any, target: Any) -> Any:
            parameters, state = carry
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, target)
            updates, state = optimizer.update(gradients, state, parameters)
            return (optax.apply_updates(parameters, updates), state), loss

        def rows(array: Any, index: Any) -> Any:
            return array.at[index].get(mode="promise_in_bounds", unique_indices=True)

        def epoch(parameters: Any, state: Any, X: Any, y: Any, order: Any, ahead: bool, unroll: int) -> Any:
            def step(carry: Any, index: Any) -> Any:
                return update(carry, rows(X, index), rows(y, index))

            carry, batches = (parameters, state), order.reshape(job.steps, job.batch)
            if ahead:
                xs = rows(X, order).reshape(job.steps, job.batch, *X.shape[1:])
                ys = rows(y, order).reshape(job.steps, job.batch, *y.shape[1:])
                carry, losses = jax.lax.scan(lambda c, xy: update(c, *xy), carry, (xs, ys), unroll=unroll)
            else:
                carry, losses = jax.lax.scan(step, carry, batches, unroll=unroll)
            return *carry, losses.mean()

        self._jitted = jax.jit(epoch, static_argnames=("ahead", "unroll"), donate_argnums=(0, 1))
        unrolls = [n for n in (1, 2, 4) if n == 1 or (step_multiply_adds(job) < SMALL_STEP and job.steps >= 4 * n)]
        ways = [(False, 1), *((True, n) for n in unrolls)]
        self.ways = {f"gather {'before' if a else 'in'} the scan, unroll {n}": (a, n) for a, n in ways}
        self.way = next(iter(self.ways))

    def _epoch(self, way: str, order: Any) -> Any:
        ahead, unroll = self.ways[way]
        self.parameters, self.state, loss = self._jitted(
            self.parameters, self.state, self.X, self.y, order, ahead=ahead, unroll=unroll
        )
        return loss

    def _order(self) -> Any:
        return self.rng.permutation(self.job.rows).astype(np.int32)

    def first_epoch(self) -> float:
        return float(self._epoch(self.way, np.arange(self.job.rows, dtype=np.int32)))

    def tune(self) -> None:
        def run(way: str) -> None:
            self.jax.block_until_ready((self._epoch(way, self._order()), self.parameters))

        runs: dict[str, Callable[[], None]] = {way: partial(run, way) for way in self.ways}
        self.way = fastest(runs, self.job.tune_seconds)

    def epochs(self, n: int) -> None:
        loss = None
        for _ in range(n):  # dispatched ahead: the next order is drawn while an epoch runs
            loss = self._epoch(self.way, self._order())
        self.jax.block_until_ready((loss, self.parameters, self.state))


class JAXScan(JAX):
    """The plain program: rows gathered within the scan, nothing tuned. For comparison with figures that were taken so;
    it is never faster than the tuned one."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.ways = {self.way: self.ways[self.way]}


TRAINERS: dict[str, Callable[[Job], Trainer]] = {
    "fastmlp": FastMLP,
    "numpy": NumPyBackend,
    "sklearn": ScikitLearn,
    "torch": TorchEager,
    "torch.compile": TorchCompile,
    "jax": JAX,
    "jax-scan": JAXScan,
}
