"""A learning rate for the digits by a range test: the rate rises until the loss does; best is where it fell fastest.

Needs fastmlp alone:  python examples/learning_rate.py
"""

import numpy as np

import fastmlp

EPOCHS = 5


def network() -> fastmlp.MLP:
    return fastmlp.MLP([64, 64, 10], output="softmax", seed=0)


def main() -> None:
    images, digits = fastmlp.datasets.load_digits()
    finder = fastmlp.LearningRateFinder(1e-6, 10.0).run(network(), images, digits, optimizer="adam")
    # With matplotlib, finder.plot() draws this.
    print("      rate   smoothed loss")
    for place in range(0, len(finder.rates), 10):
        loss = finder.smoothed[place]
        print(f"{finder.rates[place]:10.2e} {loss:8.3f}   " + "#" * round(5 * loss))
    print(f"suggestion: {finder.suggestion:.2g}\n")

    for rate in (finder.suggestion / 1000, finder.suggestion, finder.suggestion * 1000):
        net, seen = network(), fastmlp.WeightHistory(layers=[0])
        history = net.fit(images, digits, epochs=EPOCHS, optimizer=fastmlp.Adam(rate), callbacks=[seen])
        first, last = seen.weights[0][0], seen.weights[0][-1]
        moved = np.linalg.norm(last - first) / np.linalg.norm(first)
        print(f"rate {rate:8.2g}: loss {history.loss[-1]:8.3f}, the first layer's weights moved by {moved:7.1%}")


if __name__ == "__main__":
    main()
