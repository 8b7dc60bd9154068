"""Many networks at once: widths on five folds, a search by halving, and an ensemble that tells how sure it is.

Needs fastmlp alone:  python examples/many_networks.py
"""

import numpy as np

import fastmlp


def waves(n: int) -> tuple[np.ndarray, np.ndarray]:
    """n noisy points of a wave, between -2 and 2."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(n, 1))
    return x, np.sin(2 * x[:, 0]) + rng.normal(scale=0.1, size=n)


def main() -> None:
    x, y = waves(600)

    print("Widths, each on five folds:")
    widths = (2, 8, 32)
    nets = [fastmlp.MLP([1, width, width, 1], activation="tanh", seed=0) for width in widths]
    results = fastmlp.fit_many(nets, x, y, epochs=60, batch_size=16, optimizer=fastmlp.Adam(0.01), folds=5)
    for width, losses in zip(widths, results.values("val_loss"), strict=True):
        print(f"  {width:3d}: {losses.mean():.4f} +- {losses.std():.4f}")

    print("Learning rates, the best third of them for three times as long:")
    rates = [10 ** (-4 + place / 4) for place in range(9)]
    nets = [fastmlp.MLP([1, 32, 32, 1], activation="tanh", seed=0) for _ in rates]
    found = fastmlp.search.halving(
        nets,
        x[:400],
        y[:400],
        epochs=27,
        batch_size=16,
        first_epochs=3,
        validation_data=(x[400:], y[400:]),
        optimizer=[fastmlp.Adam(rate) for rate in rates],
    )
    for results in found.rounds:
        print("  " + ", ".join(f"{rates[result.index]:.2g}: {result.value('val_loss'):.4f}" for result in results[:3]))

    print("Ten networks of other seeds, and where they disagree (points lie between -2 and 2):")
    nets = [fastmlp.MLP([1, 32, 32, 1], activation="tanh", seed=seed) for seed in range(10)]
    fastmlp.fit_many(nets, x, y, epochs=60, batch_size=16, optimizer=fastmlp.Adam(rates[found.best_index]))
    where = np.linspace(-4, 4, 9)[:, np.newaxis]
    mean, deviation = fastmlp.Ensemble(nets).predict(where, return_std=True)
    for point, middle, spread in zip(where[:, 0], mean[:, 0], deviation[:, 0], strict=True):
        print(f"  {point:5.1f} {middle:7.3f} +- {spread:.3f} " + "=" * round(40 * spread))


if __name__ == "__main__":
    main()
