"""fastmlp's estimators where scikit-learn's would stand: a pipeline, a search, and what they add.

Needs scikit-learn (pip install '.[sklearn]'):  python examples/sklearn_drop_in.py
"""

import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp.sklearn import MLPClassifier, PerceptronClassifier, from_sklearn, to_sklearn


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)

    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(max_iter=40, random_state=0)),
        {"mlpclassifier__hidden_layer_sizes": [(32,), (64, 32)], "mlpclassifier__alpha": [1e-4, 1e-1]},
        n_jobs=2,
    ).fit(X, y)
    print(f"best of the search: {search.best_params_}, test score {search.score(X_test, y_test):.3f}")

    # What scikit-learn's has not: activations by layer, optimizers, class weights, a validation set, a time limit.
    net = MLPClassifier(
        (64, 32),
        activation=["tanh", fastmlp.LeakyReLU(0.1)],
        optimizer=fastmlp.Adam(3e-3, weight_decay=1e-4),
        class_weight="balanced",
        max_iter=60,
        max_seconds=10.0,
        random_state=0,
    ).fit(X / 16, y, validation_data=(X_test / 16, y_test))
    curve = net.validation_loss_curve_
    print(f"validation loss {curve[0]:.3f} -> {curve[-1]:.3f}, test score {net.score(X_test / 16, y_test):.3f}")

    # Fitted models go both ways.
    plain = MLPClassifier(random_state=0, max_iter=20).fit(X, y)
    theirs = to_sklearn(plain)
    print("same predictions by scikit-learn:", bool((theirs.predict(X_test) == plain.predict(X_test)).all()))
    print("and back:", bool((from_sklearn(theirs).predict(X_test) == plain.predict(X_test)).all()))

    # The oldest network: one neuron that learns from its errors.
    zeros = PerceptronClassifier(random_state=0).fit(X, y == 0)
    print(f"a perceptron tells zeros from the rest after {zeros.n_iter_} epochs, errors {zeros.errors_}")


if __name__ == "__main__":
    main()
