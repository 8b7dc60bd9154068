"""Handwritten digits: training that stops by itself, and a table of what is mistaken for what.

Needs fastmlp alone:  python examples/digits.py
"""

import numpy as np

import fastmlp


def main() -> None:
    X, y, X_test, y_test = fastmlp.datasets.load_digits(split=True)
    # One row in five is kept from the training, to tell when it has gone far enough; test rows only judge the result.
    held = np.random.default_rng(0).random(len(X)) < 0.2

    net = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    stop = fastmlp.EarlyStopping("val_loss", patience=10)  # it puts the best weights back
    history = net.fit(
        X[~held],
        y[~held],
        epochs=500,
        batch_size=32,
        optimizer=fastmlp.Adam(1e-3),
        validation_data=(X[held], y[held]),
        callbacks=[stop],
    )
    print(f"stopped after {len(history['epoch'])} epochs; best on the rows kept: {stop.best:.4f} in {stop.best_epoch}")

    probabilities = net.predict(X_test)
    guess = probabilities.argmax(axis=1)
    print(f"test accuracy {np.mean(guess == y_test):.4f}\n")

    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (y_test, guess), 1)
    print("true \\ taken for" + "".join(f"{digit:5d}" for digit in range(10)))
    for digit, counts in enumerate(table):
        print(f"{digit:16d}" + "".join(f"{count or '.':>5}" for count in counts))

    worst = int(np.argmin(probabilities[np.arange(len(y_test)), y_test]))
    print(f"\nthe hardest row: {worst}, a {y_test[worst]}, taken for {guess[worst]}", end=" ")
    print(f"with probability {probabilities[worst].max():.2f}")
    for line in X_test[worst].reshape(8, 8):
        print("    " + "".join(" .:-=+*#%@"[int(9 * ink / X_test.max())] * 2 for ink in line).rstrip())


if __name__ == "__main__":
    main()
