"""The networks that tests of training train."""

import fastmlp


def classifier(backend, **arguments):
    return fastmlp.MLP([2, 8, 3], output="softmax", **({"seed": 0, "backend": backend} | arguments))


def regressor(backend, **arguments):
    return fastmlp.MLP([2, 8, 2], **({"seed": 0, "backend": backend} | arguments))
