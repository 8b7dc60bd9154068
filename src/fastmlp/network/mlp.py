"""`MLP`: the network that users make, with its arguments; what it does is in the classes beneath it.

state.py, normalized.py, outputs.py, inside.py, measures.py, gradients.py and training.py: each file has a class, the
next one's base.
"""

from __future__ import annotations

import os
from collections.abc import Sequence  # noqa: TC003 - for those who ask for the types of MLP's methods

import numpy as np
from numpy.typing import ArrayLike  # noqa: TC002

from fastmlp.data import (
    as_parameters,
    as_real,
    as_targets,
    as_weights,
    leave_out,
    mean_of_targets,
    quantiles_of_targets,
)
from fastmlp.initializers import bias_of_mean, draw
from fastmlp.network.exports import Exports
from fastmlp.spec import (
    NOT_NORMALIZED,
    Activation,
    ActivationName,
    BackendName,
    Float,
    GaussianNLL,
    Loss,
    LossName,
    NetworkSpec,
    Normalization,
    Normalizing,
    NormName,
)
from fastmlp.spec.checks import integer
from fastmlp.spec.hints import explained
from fastmlp.spec.initializers import Function, Initializer, InitName, as_initializer, default

__all__ = ["MLP"]


class MLP(Exports):
    """Multi-layer perceptron: dense layers a = f(a W + b), trained by mini-batch gradient descent.

    Parameters
    ----------
    sizes : sequence of int
        The architecture vector: number of inputs, widths of the hidden layers, number of outputs.
    activation : str, Activation or sequence of them
        Of the hidden layers, one for all or one each: "identity", "sign", "logistic", "tanh", "relu", "leaky_relu",
        "elu", "softplus", "exp", "selu", "gelu", "gelu_tanh", "silu" (or "swish"), "mish", "softsign", "relu6",
        "hardtanh", "hard_sigmoid", "hard_swish", "softmax" (of a layer's units), "prelu", or `LeakyReLU`, `ELU` and
        `Softplus` with a parameter.
    output : str or Activation, optional
        Of the output layer: one of these; "softmax" for two and more outputs. Default: what goes with the loss.
    loss : str or Loss, optional
        "squared_error", "absolute_error", "huber", "log_cosh", "quantile"; "cross_entropy" and "focal" (of a softmax),
        "binary_cross_entropy" and "binary_focal" (of logistic outputs); "poisson", "gamma" and "tweedie" (of exp
        outputs); "hinge", "squared_hinge" and "perceptron" (targets -1 and 1), "multi_hinge" and "crammer_singer"
        (classes); "cosine" (directions); a name of Keras's or PyTorch's, such as "mse", for their mean over outputs
        (see docs/losses.md); an object with parameters such as `Huber(0.5)` or ``Quantile([0.1, 0.5, 0.9])``, which has
        three outputs for each target; or `CustomLoss(fn)`. Default: what goes with the output, or the squared error.
    dropout : float or sequence of float
        Probability, in [0, 1), that an output of a hidden layer is dropped in a step of `fit` or `step`, met to 2**-17:
        one for all hidden layers or one each. What stays is multiplied by 1 / (1 - dropout), so that all other methods
        do without: `predict`, `evaluate`, `trace`, and `loss_and_grad` too.
    input_dropout : float
        The same for the inputs.
    input_noise : float
        Standard deviation of Gaussian noise that is added to the inputs in a step of `fit` or `step`, before dropout.
    dtype : {"float32", "float64", "bfloat16"}
        Of parameters and arithmetic. "bfloat16" is float32 with operands of products (weights, outputs and deltas,
        each as it is used) rounded to bfloat16, whose sums are of float32: parameters, the optimizer's state, losses,
        gradients and outputs are float32, as `dtype` says. It is for large networks on processors with AVX-512 BF16,
        where products take half the time; elsewhere it makes the same model, slower than float32, and warns once.
        Layers of up to four outputs keep products of float32. See docs/design.md for what it costs in accuracy.
    seed : int, optional
        Of all random numbers, 0 <= seed < 2**64: initial weights, the order of rows in every epoch, dropout and noise.
        Same seed and same data give the same model bit for bit, whatever the processor and the number of threads.
        Default: drawn from the system.
    init : str, Initializer or callable, optional
        How weights are drawn: "glorot_uniform" (or "xavier_uniform"), "he_uniform" ("kaiming_uniform"),
        "lecun_uniform", the same with "normal" or "truncated_normal" in the place of "uniform", "normal",
        "truncated_normal", "orthogonal", "zeros", one with a parameter of `fastmlp.initializers`, or a function
        ``f(n_in, n_out)`` that returns a matrix of that shape. Default: by each layer's activation. Biases are zero.
    l1, l2 : float or sequence of float
        Penalties, one for all layers or one each: to the loss is added l1 sum |W| + l2 / 2 sum W^2 over the layer's
        weights (not biases), and to its gradient l1 sign(W) + l2 W. They are part of every loss that is reported: of
        `fit` (in its history, of validation data, too), `step`, `evaluate` and `loss_and_grad`; `trace`, which is of
        rows, has none. Elsewhere: l2 is the weight_decay of PyTorch's SGD, twice the l2 of Keras' L1L2, and
        scikit-learn's alpha divided by the number of rows in a batch; l1 is that of Keras.
    max_norm : float, None or sequence of them, optional
        A bound, > 0, for all layers or one each (None: no bound): after every update, the weights into a unit, a column
        of W, are scaled to this norm where theirs is larger, as by Keras' ``MaxNorm(max_norm)`` and by
        ``torch.renorm(W, 2, 1, max_norm)``.
    residual : bool
        Residual connections (He and others, 2016): a hidden layer as wide as the hidden layer before it adds its inputs
        to what leaves its activation, a' = f(a W + b) + a, as ``x + act(linear(x))`` in PyTorch. What is dropped is
        f(a W + b) alone: the sum is not. Inputs of the network and the output layer have none.
    norm : {None, "layer", "batch"}
        What hidden layers normalise between product and activation: a' = f(gamma x + b) with z = a W and
        x = (z - mean) / sqrt(variance + 1e-5). gamma (`gammas`) begins at 1; like b it has neither weight decay nor l1
        and l2. Mean and (biased) variance are, with "layer" (Ba, Kiros and Hinton, 2016), those over the units of each
        row; with "batch" (Ioffe and Szegedy, 2015), those of each unit over the rows of a batch, whatever they weigh,
        in `fit` and `step`, and elsewhere, in `loss_and_grad`, too, the `running_statistics`: these begin at 0 and 1
        and move a tenth of the way to each batch's mean and unbiased variance. A batch of one row has no variance: they
        stay, and x is 0. `ema` and `swa` take means of them, too. In PyTorch: Linear(bias=False), LayerNorm or
        BatchNorm1d, whose weight is gamma and whose bias is b, and the activation.
    normalize : {"standard", "minmax", "robust"}, optional
        How inputs are normalised, in float64 and as they are read, in training and in all other methods: to mean 0 and
        standard deviation 1, to the range from 0 to 1, or to median 0 and 1 between the quartiles. The first `fit`
        measures that on the rows that it trains on (or `adapt` does); before, inputs are taken as they are. What is
        dropped or added to inputs (`input_dropout`, `input_noise`) is behind it.
    normalize_targets : {"standard", "minmax", "robust"}, optional
        How targets are normalised in the same way, for a loss of errors (squared_error, absolute_error, huber,
        log_cosh, quantile) and the output "identity". What `predict` returns is in the units of y, and so are metrics;
        losses, and `trace`, are of normalised targets.
    backend : {"cython", "numpy"}, optional
        The compiled engine or the pure-NumPy reference. Default: compiled, or the reference with a warning where it is
        missing.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If ``backend="cython"`` and the extension cannot be used.

    Notes
    -----
    A network may be used from several Python threads: they wait for each other. A signal's handler runs where the call
    that it interrupts is at rest, a training after a whole step: there it may read the network (`save` it, for
    example), and what would change it is refused. A child process forked at such a moment, or while nothing trains, has
    the network as it is then; in one that was forked while another thread was in the middle of a step, using it is an
    error.

    What is dropped (Srivastava and others: Dropout, JMLR 15, 2014) is a function of the seed, `n_steps`, the layer, the
    row's place in the batch and the unit: a training that was saved and loaded goes on as if it had not been.

    Examples
    --------
    >>> import fastmlp
    >>> net = fastmlp.MLP([2, 16, 2], activation="tanh", output="softmax", seed=1)
    >>> net
    MLP([2, 16, 2], activation='tanh', output='softmax', loss='cross_entropy', dtype='float32', seed=1)
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = net.fit(X, y, epochs=200, optimizer=fastmlp.Adam(0.05))
    >>> net.evaluate(X, y)["accuracy"]
    1.0
    """

    __slots__ = ()

    @explained
    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: ActivationName | Activation | Sequence[ActivationName | Activation] = "relu",
        output: ActivationName | Activation | None = None,
        loss: LossName | Loss | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        dtype: Float = "float32",
        seed: int | None = None,
        init: InitName | Initializer | Function | None = None,
        backend: BackendName | None = None,
        l1: float | Sequence[float] = 0.0,
        l2: float | Sequence[float] = 0.0,
        max_norm: float | Sequence[float | None] | None = None,
        residual: bool = False,
        norm: NormName | None = None,
        normalize: Normalization | None = None,
        normalize_targets: Normalization | None = None,
    ) -> None:
        spec = NetworkSpec.make(
            sizes,
            activation,
            output,
            loss,
            dtype,
            dropout=dropout,
            input_dropout=input_dropout,
            input_noise=input_noise,
            l1=l1,
            l2=l2,
            max_norm=max_norm,
            residual=residual,
            norm=norm,
        )
        if spec.output.name == "softmax" and spec.sizes[-1] == 1:  # which the engine computes, but nobody means
            raise ValueError(
                f"output is the softmax of one number in sizes {list(spec.sizes)}, which is always 1: for two classes "
                "take one output with loss='binary_cross_entropy', or two outputs with output='softmax'"
            )
        if spec.loss.labels and spec.sizes[-1] == 1:
            raise ValueError(
                f"loss is {spec.loss.name!r}, which compares the outputs of classes, and there is one in sizes "
                f"{list(spec.sizes)}: take one output for each class"
            )
        try:
            initializers = [
                default(layer.activation) if init is None else as_initializer(init) for layer in spec.layers
            ]
        except (TypeError, ValueError) as error:
            raise type(error)(f"init: {error}") from None
        normalizing = NOT_NORMALIZED
        if normalize is not None or normalize_targets is not None:
            normalizing = Normalizing(normalize, normalize_targets)
            normalizing.check(spec)
        number = int.from_bytes(os.urandom(8), "little") >> 1 if seed is None else integer(seed, "seed", 0, 2**64 - 1)
        self._set_up(spec, number, backend, stacklevel=5)
        weights = as_parameters(
            spec,
            [
                draw(initializer, self.seed, number, layer.n_in, layer.n_signals)
                for number, (layer, initializer) in enumerate(zip(spec.layers, initializers, strict=True))
            ],
            "init",
        )
        self._learner.engine.write(spec.beginning(weights))
        self._learner.normalizing = normalizing
        self._loss_by_default = output is None and loss is None

    @explained
    def init_output_bias(self, y: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Set the output layer's biases so that outputs begin at the mean of the targets, before a first training.

        With a rare class the first steps are else spent on learning that it is rare (Lin et al. 2017, section 3.3), and
        with targets far from 0 on where they are. The mean of an output is its bias where the output is identity, and
        the bias its logarithm for exp and softmax, and its log odds for logistic. A class without rows counts as half a
        row, and so does the other one of a class with all of them. The outputs of several quantiles begin at those of
        the targets, and standard deviations at theirs.

        Parameters
        ----------
        y, sample_weight
            Targets and weights as for `fit`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, the output layer has another activation, or targets are normalised.

        Examples
        --------
        >>> import fastmlp
        >>> net = fastmlp.MLP([2, 3, 1], output="logistic", init="zeros", dtype="float64")
        >>> net.init_output_bias([0, 0, 0, 1])
        >>> net.predict([[1.0, 2.0]])
        array([[0.25]])
        """
        spec = self._learner.spec
        n_rows, n_outputs = len(np.atleast_1d(as_real(y, "y"))), spec.sizes[-1]
        targets = as_targets(y, spec.loss, n_outputs, n_rows, finite=self._finite())
        targets, weight = leave_out(targets, as_weights(sample_weight, n_rows), spec.loss)
        if not n_rows:
            raise ValueError("y has no rows; there is no mean of none")
        if self.normalize_targets is not None:
            raise ValueError(
                f"outputs begin at the middle of the targets with normalize_targets={self.normalize_targets!r}"
            )
        if spec.loss.ignores_nan and np.isnan(targets).all(axis=0).any():
            raise ValueError(f"y has nothing but NaN in column {np.isnan(targets).all(axis=0).argmax()}")
        if spec.loss.levels and spec.loss.heads > 1 and spec.output.name == "identity":
            self.biases = (*self.biases[:-1], quantiles_of_targets(targets, weight, spec.loss.levels))
            return
        if isinstance(spec.loss, GaussianNLL) and spec.output.name == "identity":
            mean = mean_of_targets(targets, weight, targets.shape[1])
            variance = mean_of_targets(np.square(targets - mean), weight, targets.shape[1])
            self.biases = (*self.biases[:-1], spec.loss.first_outputs(mean, variance))
            return
        if (targets.ndim == 1 and spec.output.name != "softmax") or spec.loss.target_width(n_outputs) != n_outputs:
            raise ValueError(f"the bias of a mean is not known for the loss {spec.loss.name}")
        total = n_rows if weight is None else float(np.add.accumulate(weight)[-1])
        bias = bias_of_mean(spec.output.name, mean_of_targets(targets, weight, n_outputs), total)
        self.biases = (*self.biases[:-1], bias)
