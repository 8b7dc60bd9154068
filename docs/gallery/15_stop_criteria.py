"""
When to stop
============

Several ends of a training can be told at once; the first one to come holds, and the history says which it was. Here
four trainings that differ in what ends them.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastmlp
from fastmlp import plot

X, y, X_test, y_test = fastmlp.datasets.load_digits(split=True)
X, X_test = X / 16, X_test / 16

# %%
# The lectures' rule is *iterations AND small improvement*: go on as long as there are epochs left and the loss still
# falls by more than a tolerance. To it come a target, a limit of steps, of time, and a look at other rows.

ENDS = {
    "epochs": {"epochs": 10},
    "a target": {"epochs": 200, "target_loss": 0.15},
    "small improvement": {"epochs": 200, "tol": 0.005, "patience": 3},
    "steps": {"epochs": 200, "max_steps": 600},
    "other rows": {"epochs": 200, "callbacks": [fastmlp.EarlyStopping(patience=8)]},
}
EXPECTED = ["epochs", "target_loss", "tol", "max_steps", "EarlyStopping"]

histories, nets = {}, {}
for name, end in ENDS.items():
    nets[name] = fastmlp.MLP([64, 32, 10], output="softmax", seed=0)
    histories[name] = nets[name].fit(
        X, y, validation_data=(X_test, y_test), optimizer=fastmlp.Adam(2e-3), max_seconds=60, **end
    )
    print(f"{name:18s} stopped by {histories[name].stopped}, after {nets[name].n_epochs} epochs")

assert [history.stopped for history in histories.values()] == EXPECTED
assert histories["a target"].val_loss[-1] <= 0.15 < histories["a target"].val_loss[-2]
assert nets["steps"].n_steps == 600
falls = -np.diff(histories["small improvement"].val_loss)
assert (falls[-3:] <= 0.005).all()

# %%
# One curve, five ends
# --------------------
#
# All five are the same training, to the bit, as far as they go. Where there are validation rows, as here, target and
# tolerance are of their loss. Small improvement stops before early stopping does: a few epochs without much gain are
# not yet the lowest point.

ax = plot.history(histories["other rows"], ["loss", "val_loss"])
curve = np.array(histories["other rows"].loss)
for (name, history), marker in zip(histories.items(), "osD^v", strict=True):
    whole = min(len(history.loss), len(curve))
    assert np.array_equal(history.loss[: whole - 1], curve[: whole - 1])
    ax.plot(len(history.loss), history.loss[-1], marker, markersize=9, label=f"end by {name}", linestyle="")
ax.set_yscale("log")
ax.legend()
plt.show()

# %%
# Early stopping also put back the weights of its best epoch:

measured = nets["other rows"].evaluate(X_test, y_test)["loss"]
assert np.isclose(measured, min(histories["other rows"].val_loss))
