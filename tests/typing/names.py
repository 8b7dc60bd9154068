"""What a type checker says of calls, for `mypy --strict`: an ignore that hides no error is one. Nothing runs this."""

from typing import Any, assert_type

import numpy as np

import fastmlp

net = fastmlp.MLP([2, 3, 1], activation="tanh", output="logistic", loss="binary_cross_entropy", init="he_normal")
fastmlp.MLP([2, 3, 3, 1], activation=["relu", fastmlp.ELU(0.5)], dtype=np.float64, backend="numpy")
fastmlp.MLP([2, 1], output=fastmlp.LeakyReLU(), loss=fastmlp.SquaredError(), dtype=net.dtype)

fastmlp.MLP([2, 3, 3], output="softmaxx")  # type: ignore[arg-type]
fastmlp.MLP([2, 3, 3], activation="softmaxx")  # type: ignore[arg-type]
fastmlp.MLP([2, 3, 3], activation=["relu", "rleu"])  # type: ignore[list-item]
fastmlp.MLP([2, 1], loss="squared")  # type: ignore[arg-type]
fastmlp.MLP([2, 1], init="xavier")  # type: ignore[arg-type]
fastmlp.MLP([2, 1], dtype="float16")  # type: ignore[arg-type]
fastmlp.MLP([2, 1], backend="cuda")  # type: ignore[arg-type]
fastmlp.MLP([2, 1], random_state=0)  # type: ignore[call-arg]


def loss_of(net: fastmlp.MLP, logs: dict[str, Any]) -> float:
    """Answers with a number where a callback may say True, False or nothing."""
    return float(logs["loss"])


X, y = np.zeros((4, 2)), np.zeros(4)
history = net.fit(X, y, optimizer="adam", callbacks=[lambda net, logs: logs["loss"] < 0.1])
assert_type(history, fastmlp.History)
assert_type(history.val_loss, list[float])
assert_type(history.val_accuracy, list[float])
assert_type(net.step(X, y, optimizer=fastmlp.Adam(1e-4)), float)

net.fit(X, y, optimizer=fastmlp.LBFGS(max_iter=5, gtol=1e-7))
net.fit(X, y, optimizer="lbfgs")
net.fit(X, y, lr_factors={"bias": 0.1, "layers.0.weight": 0})
net.fit(X, y, lr_factors=[0.1])  # type: ignore[arg-type]
net.step(X, y, optimizer="lbfgs")  # type: ignore[arg-type]
net.fit(X, y, metrics=["auc", fastmlp.metrics.F1("macro"), lambda y_true, y_pred: 0.5])
net.fit(X, y, callbacks=[fastmlp.EarlyStopping("val_auc", mode="max")])
net.fit(X, y, callbacks=[fastmlp.WeightHistory("2 epochs", layers=[0, -1]), fastmlp.TensorBoard("run", every=100)])
assert_type(fastmlp.LearningRateFinder(1e-6, steps=50).run(net, X, y, optimizer="adam").suggestion, float)
fastmlp.LearningRateFinder().run(net, X, y, optimizer="lbfgs")  # type: ignore[arg-type]
assert_type(net.evaluate(X, y, metrics=["auc"]), dict[str, float])
assert_type(fastmlp.metrics.auc(y, y), float)

net.fit(X, y, metrics="auc", verbosity=1)  # type: ignore[call-arg]
net.fit(X, y, metrics=[3])  # type: ignore[list-item]
fastmlp.EarlyStopping(mode="up")  # type: ignore[arg-type]
net.fit(X, y, verbosity=1)  # type: ignore[call-arg]
net.fit(X, y, optimizer="Adam")  # type: ignore[arg-type]
net.fit(X, y, callbacks=[loss_of])  # type: ignore[list-item]
net.step(X, y, optimizer="magic")  # type: ignore[arg-type]

fastmlp.Adam(lr=1e-3, betas=(0.9, 0.99), eps=1e-7)
fastmlp.AdamW(fastmlp.schedules.Cosine(1e-3, steps=20, by="epoch"), beta_1=0.8)
fastmlp.SGD(lambda step: 0.1 / (step + 1), momentum=0.9)
fastmlp.RMSprop(alpha=0.9, lr=fastmlp.schedules.Constant(1e-3))
fastmlp.Rprop(etas=(0.5, 1.2), step_sizes=(1e-6, 50))
fastmlp.SGD(0.1, momentum=fastmlp.schedules.Linear(0.8, steps=9, end=0.9))
fastmlp.Adam(betas=(fastmlp.schedules.Constant(0.9), 0.99))
fastmlp.RAdam(beta1=fastmlp.schedules.Constant(0.9))  # type: ignore[arg-type]
fastmlp.Adam(lrr=1e-3)  # type: ignore[call-arg]
fastmlp.Adam(betas=0.9)  # type: ignore[arg-type]
fastmlp.SGD(eps=1e-3)  # type: ignore[call-arg]
fastmlp.schedules.Constant(0.1, by="batch")  # type: ignore[arg-type]

net.optimizer = fastmlp.SGD(0.1)
net.optimizer = "magic"  # type: ignore[assignment]
net.lr = 1e-5  # type: ignore[attr-defined]
net.count_params()  # type: ignore[attr-defined]
