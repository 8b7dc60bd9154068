"""Writes torch_losses.npz: row losses and their gradients by the signals of the last layer, by PyTorch in float64.

Run it (python tests/data/make_torch_losses.py) where PyTorch is installed, after a change of CASES.
"""

from pathlib import Path

import numpy as np

import fastmlp

PATH = Path(__file__).with_name("torch_losses.npz")
ROWS, OUTPUTS = 8, 5

#: By name: a loss, and what its targets are.
CASES = {
    "mse": (fastmlp.SquaredError(reduction="mean"), "numbers"),
    "mae": (fastmlp.AbsoluteError(reduction="mean"), "numbers"),
    "smooth_l1": (fastmlp.Huber(reduction="mean"), "numbers"),
    "huber": (fastmlp.Huber(0.5, reduction="mean"), "numbers"),
    "bce": (fastmlp.BinaryCrossEntropy(reduction="mean"), "answers"),
    "pos_weight": (fastmlp.BinaryCrossEntropy(pos_weight=2.5), "answers"),
    "pos_weight of probabilities": (fastmlp.BinaryCrossEntropy(pos_weight=0.3), "probabilities"),
    "smoothed answers": (fastmlp.BinaryCrossEntropy(label_smoothing=0.2, pos_weight=1.5), "answers"),
    "nll": (fastmlp.CrossEntropy(), "labels"),
    "smoothed labels": (fastmlp.CrossEntropy(label_smoothing=0.1), "labels"),
    "smoothed probabilities": (fastmlp.CrossEntropy(label_smoothing=0.3), "probabilities"),
    "hinge": (fastmlp.Hinge(), "signs"),
    "squared_hinge": (fastmlp.SquaredHinge(), "signs"),
    "perceptron": (fastmlp.PerceptronCriterion(), "signs"),
    "multi_margin": (fastmlp.MultiHinge(reduction="mean"), "labels"),
    "focal": (fastmlp.Focal(), "labels"),
    "focal of probabilities": (fastmlp.Focal(0.5), "probabilities"),
    "binary_focal": (fastmlp.BinaryFocal(), "answers"),
    "binary_focal of probabilities": (fastmlp.BinaryFocal(1.5), "probabilities"),
    "crammer_singer": (fastmlp.CrammerSinger(), "labels"),
    "crammer_singer of probabilities": (fastmlp.CrammerSinger(), "probabilities"),
    "cosine": (fastmlp.Cosine(), "numbers"),
    "gaussian_nll": (fastmlp.GaussianNLL(), "numbers"),
    "mean gaussian_nll": (fastmlp.GaussianNLL(0.25, reduction="mean"), "numbers"),
}


def width(name):
    """Outputs, as many as there are or the next number of which each target has several."""
    heads = CASES[name][0].heads
    return -(-OUTPUTS // heads) * heads


def problem(name):
    """Signals (B, O) and targets: small dyadic numbers, exact anywhere; none is on a kink."""
    rng = np.random.RandomState(list(CASES).index(name))  # NumPy promises the stream of this one
    signals = rng.randint(-255, 256, (ROWS, width(name))) / 64.0 + 1 / 1024
    made = {
        "numbers": rng.randint(-64, 65, (ROWS, CASES[name][0].target_width(width(name)))) / 32.0,
        "answers": rng.randint(0, 2, (ROWS, OUTPUTS)) + 0.0,
        "signs": rng.randint(0, 2, (ROWS, OUTPUTS)) * 2.0 - 1.0,
        "probabilities": rng.multinomial(8, np.ones(OUTPUTS) / OUTPUTS, ROWS) / 8.0,
        "labels": rng.randint(0, OUTPUTS, ROWS),
    }
    return signals, made[CASES[name][1]]


def torch_losses(name):
    """Row losses (B,) and gradient (B, O), by PyTorch alone."""
    import torch
    import torch.nn.functional as F

    def binary(z, t, smoothing=0.0, weight=1.0):
        t = t * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(z, t, reduction="none", pos_weight=torch.tensor(weight))

    def focal(z, t, gamma):
        log_p = F.log_softmax(z, dim=1)
        t = F.one_hot(t, OUTPUTS) if t.ndim == 1 else t
        return -(t * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1)

    def binary_focal(z, t, gamma):
        p = torch.sigmoid(z)
        return -(t * (1 - p) ** gamma * F.logsigmoid(z) + (1 - t) * p**gamma * F.logsigmoid(-z)).sum(dim=1)

    def crammer_singer(z, t):
        t = F.one_hot(t, OUTPUTS) if t.ndim == 1 else t
        return (1 - t + z).max(dim=1).values - (t * z).sum(dim=1)

    def cross_entropy(z, t, smoothing=0.0):
        return F.cross_entropy(z, t, reduction="none", label_smoothing=smoothing)

    def gaussian(z, t, eps):
        variance = F.softplus(z[:, 1::2], threshold=100) + eps
        return F.gaussian_nll_loss(z[:, ::2], t, variance, reduction="none", eps=1e-12)

    functions = {
        "mse": lambda z, t: F.mse_loss(z, t, reduction="none").mean(dim=1),
        "mae": lambda z, t: F.l1_loss(z, t, reduction="none").mean(dim=1),
        "smooth_l1": lambda z, t: F.smooth_l1_loss(z, t, reduction="none").mean(dim=1),
        "huber": lambda z, t: F.huber_loss(z, t, delta=0.5, reduction="none").mean(dim=1),
        "bce": lambda z, t: binary(z, t).mean(dim=1),
        "pos_weight": lambda z, t: binary(z, t, 0.0, 2.5).sum(dim=1),
        "pos_weight of probabilities": lambda z, t: binary(z, t, 0.0, 0.3).sum(dim=1),
        "smoothed answers": lambda z, t: binary(z, t, 0.2, 1.5).sum(dim=1),
        "nll": cross_entropy,
        "smoothed labels": lambda z, t: cross_entropy(z, t, 0.1),
        "smoothed probabilities": lambda z, t: cross_entropy(z, t, 0.3),
        "hinge": lambda z, t: F.relu(1 - t * z).sum(dim=1),
        "squared_hinge": lambda z, t: (F.relu(1 - t * z) ** 2).sum(dim=1),
        "perceptron": lambda z, t: F.relu(-t * z).sum(dim=1),
        "multi_margin": lambda z, t: F.multi_margin_loss(z, t, reduction="none"),
        "focal": lambda z, t: focal(z, t, 2.0),
        "focal of probabilities": lambda z, t: focal(z, t, 0.5),
        "binary_focal": lambda z, t: binary_focal(z, t, 2.0),
        "binary_focal of probabilities": lambda z, t: binary_focal(z, t, 1.5),
        "crammer_singer": crammer_singer,
        "crammer_singer of probabilities": crammer_singer,
        "cosine": lambda z, t: F.cosine_embedding_loss(z, t, torch.ones(ROWS), reduction="none"),
        "gaussian_nll": lambda z, t: gaussian(z, t, 1e-6).sum(dim=1),
        "mean gaussian_nll": lambda z, t: gaussian(z, t, 0.25).mean(dim=1),
    }
    torch.set_default_dtype(torch.float64)
    signals, y = problem(name)
    z = torch.tensor(signals, requires_grad=True)
    losses = functions[name](z, torch.tensor(y))
    losses.sum().backward()
    return {"losses": losses.detach().numpy(), "gradient": z.grad.numpy()}


if __name__ == "__main__":
    results = {f"{name}/{key}": value for name in CASES for key, value in torch_losses(name).items()}
    np.savez_compressed(PATH, **results)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
