"""Pictures hold what they are of: lines, images, colours and labels, read from the axes."""

import copy
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp import plot

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
pytest.importorskip("sklearn")

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

from fastmlp.plot import style  # noqa: E402
from fastmlp.plot.functions import values  # noqa: E402
from fastmlp.spec import ACTIVATIONS  # noqa: E402

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 2))
CLASS = (X[:, 0] * X[:, 1] > 0).astype(int)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def make(sizes=(2, 5, 1), **arguments):
    return fastmlp.MLP(list(sizes), seed=0, dtype="float64", **arguments)


def a_finder():
    finder = fastmlp.LearningRateFinder(1e-4, 10.0, steps=30)
    return finder.run(make(), X, CLASS.astype(float), optimizer=fastmlp.SGD())


def a_profile():
    seconds = {"gather": 0.1, "forward": 1.0, "loss": 0.1, "backward": 0.5, "update": 2.0, "wait": 0.0}
    return fastmlp.Profile(seconds, 2.0, 100, 6400, 2.0, (20, 64, 1), 1e9)


PICTURES = {
    "activations": lambda ax: plot.activations(ax=ax),
    "calibration": lambda ax: plot.calibration(CLASS, np.linspace(0, 1, 60), ax=ax),
    "confusion": lambda ax: plot.confusion(CLASS, 1 - CLASS, ax=ax),
    "decision_regions": lambda ax: plot.decision_regions(make(), X, CLASS, resolution=20, ax=ax),
    "embedding": lambda ax: plot.embedding(make(), X, CLASS, ax=ax),
    "filters": lambda ax: plot.filters(make((9, 4)), ax=ax),
    "gradient_norms": lambda ax: plot.gradient_norms(make(), X, CLASS, ax=ax),
    "history": lambda ax: plot.history({"epoch": [1, 2], "loss": [2.0, 1.0]}, ax=ax),
    "learning_rate_finder": lambda ax: plot.learning_rate_finder(a_finder(), ax=ax),
    "loss_surface": lambda ax: plot.loss_surface(make(), X, CLASS, points=4, ax=ax),
    "network": lambda ax: plot.network(make(), ax=ax),
    "profile": lambda ax: plot.profile(a_profile(), ax=ax),
}


def test_every_picture_is_tested():
    assert set(PICTURES) == set(plot.__all__)


@pytest.mark.parametrize("name", plot.__all__)
def test_a_picture_is_drawn_into_the_axes_given_whatever_the_style(name):
    for background in ("default", "dark_background"):
        with plt.style.context(background):
            ax = plt.subplots()[1]
            assert PICTURES[name](ax) is ax
            assert name == "network" or ax.get_xlabel()
            assert name in ("network", "filters", "profile") or ax.get_ylabel()
            assert ax.xaxis.label.get_color() == plt.rcParams["axes.labelcolor"]


@pytest.mark.parametrize("name", plot.__all__)
def test_what_are_no_axes_is_refused(name):
    with pytest.raises(TypeError, match="ax must be Matplotlib's axes"):
        PICTURES[name]("axes")


@pytest.mark.parametrize("name", plot.__all__)
def test_without_matplotlib_the_error_has_the_command(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[plot\]'"):
        PICTURES[name](None)


def test_without_scikit_learn_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[sklearn\]'"):
        plot.embedding(None, X)


# ---- colours --------------------------------------------------------------------------------------------------------


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    dark, light = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


#: What is left of linear red, green and blue to those without red, and without green, cones (Machado and others, 2009).
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def lab(rgb):
    xyz = np.clip(rgb, 0, 1) @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    t = xyz / [0.9505, 1.0, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", [*style.COLOURS, style.GREY])
def test_colours_are_seen_on_white_and_on_black(colour):
    assert contrast(colour, "white") >= 3
    assert contrast(colour, "#121212") >= 3


@pytest.mark.parametrize("kind", BLIND)
def test_colours_are_told_apart_without_red_or_green(kind):
    seen = [lab(np.array(BLIND[kind]) @ linear(colour)) for colour in style.COLOURS]
    apart = [np.linalg.norm(a - b) for k, a in enumerate(seen) for b in seen[:k]]
    assert min(apart) > 25
    assert np.linalg.norm(seen[0] - seen[1]) > 60  # the two that stand for opposites


def test_text_is_read_on_every_colour():
    for grey in np.linspace(0, 1, 21):
        assert contrast(style.contrasting((grey,) * 3), str(grey)) > 4.5


# ---- what is drawn --------------------------------------------------------------------------------------------------


def test_history_draws_losses_left_and_metrics_right_and_marks_the_best():
    net = make(loss="binary_cross_entropy")
    history = net.fit(X, CLASS, epochs=4, validation_data=(X, CLASS))
    ax = plot.history(history)
    (right,) = [other for other in ax.figure.axes if other is not ax]
    loss, val_loss, best = ax.get_lines()
    assert list(loss.get_ydata()) == history.loss
    assert list(val_loss.get_ydata()) == history.val_loss
    assert best.get_label() == f"best val_loss: epoch {history.epoch[int(np.argmin(history.val_loss))]}"
    assert list(right.get_lines()[0].get_ydata()) == history.val_accuracy
    assert right.get_ylabel() == "accuracy"
    known = {"epoch": [1, 2, 3], "val_accuracy": [0.5, 0.9, 0.7]}
    accuracy, marked = plot.history(known, monitor="val_accuracy").get_lines()
    assert list(accuracy.get_ydata()) == known["val_accuracy"]
    assert marked.get_xdata()[0] == 2
    assert len(plot.history(history, ["loss"], monitor="").get_lines()) == 1
    with pytest.raises(ValueError, match="the history has no 'val_auc'; it has loss, val_loss, val_accuracy"):
        plot.history(history, ["val_auc"])
    with pytest.raises(ValueError, match="no epochs"):
        plot.history(fastmlp.History())


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"softmax"}))
def test_activations_are_drawn_as_a_network_computes_them(name):
    f, slope = (line.get_ydata() for line in plot.activations(name).get_lines())
    z = np.linspace(-4, 4, 801)
    loss = "squared_error" if name != "sign" else "perceptron"
    net = fastmlp.MLP([1, 1], output=name, loss=loss, dtype="float64", backend="numpy")
    net.weights = [[[1.0]]]
    seen = np.isfinite(f)
    assert seen.sum() >= len(z) - 1
    np.testing.assert_allclose(f[seen], net.predict(z[:, None])[seen, 0], rtol=1e-12)
    numeric = np.gradient(values(ACTIVATIONS[name](), z)[0], z)
    # A difference over two steps knows nothing of a jump, here or, of the elu, in the second derivative.
    smooth = np.all([np.abs(z - kink) > 0.02 for kink in (0.0, *ACTIVATIONS[name]().kinks)], axis=0)
    np.testing.assert_allclose(slope[smooth][1:-1], numeric[smooth][1:-1], atol=2e-3 * np.abs(numeric).max())


def test_softmax_is_no_curve():
    with pytest.raises(ValueError, match="softmax depends on all signals of a row"):
        plot.activations(["tanh", "softmax"])


@pytest.mark.parametrize(("classes", "middle"), [((0, 1), 0.5), ((-1, 1), 0.0)])
def test_regions_of_two_classes_have_fixed_levels_and_the_line_in_the_middle(classes, middle):
    y = np.array(classes)[CLASS]
    net = make()
    net.fit(X, y.astype(float), epochs=30, optimizer=fastmlp.Adam(0.05))
    ax = plot.decision_regions(net, X, y, resolution=50)
    filled, line, *points = ax.collections
    np.testing.assert_allclose(filled.levels, np.linspace(*classes, 11))
    assert list(line.levels) == [middle]
    border = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(net.predict(border)[:, 0], middle, atol=0.1)
    assert [len(group.get_offsets()) for group in points] == [(classes[0] == y).sum(), (classes[1] == y).sum()]


def test_regions_of_more_classes_have_the_colour_of_the_largest_output(toy):
    points, y = toy
    net = fastmlp.MLP([2, 8, 3], output="softmax", seed=0)
    net.fit(points, np.eye(3)[y], epochs=30, optimizer=fastmlp.Adam(0.05))
    ax = plot.decision_regions(net, points, np.eye(3)[y], resolution=40)
    image = ax.get_images()[0]
    left, right, bottom, top = image.get_extent()
    horizontal, vertical = np.linspace(left, right, 40), np.linspace(bottom, top, 40)
    for row, column in [(3, 3), (3, 36), (36, 3)]:
        found = net.predict([[horizontal[column], vertical[row]]])[0]
        depth = 0.25 + 0.15 * np.searchsorted([0.5, 0.75, 0.95], found.max())
        expected = 1 - depth * (1 - np.array(to_rgb(style.COLOURS[found.argmax()])))
        np.testing.assert_allclose(image.get_array()[row, column], expected)
    with pytest.raises(ValueError, match=r"X must have two columns to be drawn in a plane, got shape \(60, 1\)"):
        plot.decision_regions(net, X[:, :1], CLASS)


def test_filters_are_the_weights_of_the_units_chosen():
    net = make((6, 4))
    W = net.weights[0]
    image = plot.filters(net, shape=(2, 3), units=[3, 0], columns=2).get_images()[0]
    assert np.array_equal(image.get_array()[:, :3], W[:, 3].reshape(2, 3))
    assert np.array_equal(image.get_array()[:, 4:], W[:, 0].reshape(2, 3))
    assert image.get_array().mask[:, 3].all()
    assert image.get_clim() == (-np.abs(W[:, [3, 0]]).max(), np.abs(W[:, [3, 0]]).max())
    with pytest.raises(ValueError, match="shape must be that of images of 6 inputs, got None"):
        plot.filters(W)


def test_a_network_is_drawn_with_its_weights_and_what_runs_through_it():
    net = make((2, 3, 1), activation="tanh")
    net.weights, net.biases = [[[1.0, -2.0, 0.0], [0.5, 0.0, -4.0]], [[1.0], [1.0], [-1.0]]], [[0.0] * 3, [0.0]]
    inputs = [[1.0, -1.0]]
    trace = net.trace(inputs, [0.0])
    ax = plot.network(net, trace, inputs=inputs)
    lines = [group for group in ax.collections if hasattr(group, "get_segments")]
    assert [len(group.get_segments()) for group in lines] == [2, 2, 2, 1]  # layer by layer, above and below 0
    assert max(lines[1].get_linewidths()) == pytest.approx(3.5)
    assert lines[1].get_linewidths()[0] == pytest.approx(0.3 + 3.2 * 2 / 4)
    written = [float(text.get_text()) for text in ax.texts]
    expected = [1.0, -1.0, *trace.outputs[0][0], *trace.outputs[1][0]]
    np.testing.assert_allclose(written, expected, atol=0.005)
    assert [bar.get_ylabel() for bar in ax.figure.axes[1:]] == ["disc: signal z", "ring: sensitivity dE/dz"]
    with pytest.raises(ValueError, match=r"trace must be of this network, whose layers have \(5, 1\) units"):
        plot.network(make(), trace)


def test_of_a_wide_layer_some_units_are_drawn():
    ax = plot.network(make((50, 3)), max_units=4)
    assert sum(text.get_text() == "..." for text in ax.texts) == 1
    assert len(ax.collections[-1].get_offsets()) == 3
    assert sum(len(g.get_segments()) for g in ax.collections if hasattr(g, "get_segments")) == 4 * 3


def test_an_embedding_is_scikit_learns():
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    net = make((2, 5, 1))
    ax = plot.embedding(net, X, CLASS, layer=0)
    expected = PCA(2, svd_solver="full").fit_transform(net.transform(X, 0))
    for label, group in zip((0, 1), ax.collections, strict=True):
        np.testing.assert_allclose(group.get_offsets(), expected[label == CLASS])
    assert ax.get_title() == "layer 1 of 2, 5 units"
    with threadpool_limits(1):  # its threads spin, and wait for each other where others use the processor
        assert "t-SNE" in plot.embedding(None, X[:12], method="tsne").get_xlabel()
    with pytest.raises(ValueError, match="method must be"):
        plot.embedding(None, X, method="umap")


def test_confusions_are_counted():
    true, found = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    ax = plot.confusion(np.eye(4)[true], found)
    counts = np.array([int(text.get_text()) for text in ax.texts]).reshape(4, 4)
    assert all(counts[i, j] == np.sum((true == i) & (found == j)) for i in range(4) for j in range(4))
    np.testing.assert_allclose(ax.get_images()[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    with pytest.raises(ValueError, match="labels must name each of the 4 classes, got 1"):
        plot.confusion(true, found, labels=["a"])


def test_calibration_is_that_of_the_bins():
    from sklearn.calibration import calibration_curve

    said = rng.uniform(size=500)
    so = (rng.uniform(size=500) < said**2).astype(int)
    drawn = plot.calibration(so, said[:, None], bins=5).get_lines()[1]
    is_so, mean = calibration_curve(so, said, n_bins=5)
    np.testing.assert_allclose(drawn.get_xydata(), np.stack([mean, is_so], axis=1))
    both = np.stack([1 - said, said], axis=1)
    surest = plot.calibration(so, both, bins=4).get_lines()[1].get_xydata()
    assert surest[:, 0].min() >= 0.5
    with pytest.raises(ValueError, match="probabilities must be from 0 to 1"):
        plot.calibration(so, 2 * said)


def test_a_profile_has_a_bar_for_each_stage_and_one_for_the_peak():
    profile = a_profile()
    ax = plot.profile(profile)
    measured, peak = ax.containers
    np.testing.assert_allclose([bar.get_width() for bar in measured], [1e4 * s for s in profile.seconds.values()])
    products = [profile.flops(stage) / 1e9 / 100 * 1e6 for stage in ("forward", "backward", "update")]
    np.testing.assert_allclose([bar.get_width() for bar in peak], products)
    assert ax.texts[0].get_text() == f"{profile.peak_share('forward'):.0%} of the peak"


def test_a_loss_surface_is_evaluated_around_the_weights_and_has_the_path():
    net = make((2, 1))
    W = np.array([1.0, -1.0, 0.5])
    net.set_flat(W)
    moved = copy.deepcopy(net)
    path = W + np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    ax = plot.loss_surface(net, X, CLASS, directions=np.eye(3)[:2], path=path, points=3, radius=2.0)
    assert np.array_equal(net.get_flat(), W)
    np.testing.assert_allclose(ax.get_lines()[1].get_xydata(), [[2, 0], [1, 1], [0, 0]], atol=1e-12)
    moved.set_flat(W + np.array([2.0, -2.0, 0.0]))
    corner = moved.evaluate(X, CLASS)["loss"]
    filled = ax.collections[0]
    assert min(filled.levels) <= corner <= max(filled.levels) * (1 + 1e-12)
    with pytest.raises(ValueError, match=r"directions must be vectors of the 3 parameters, got shape \(2,\)"):
        plot.loss_surface(net, X, CLASS, directions=([1, 0], [0, 1]))


def test_gradient_norms_are_those_of_the_layers():
    net = make((2, 4, 4, 1))
    (line,) = plot.gradient_norms({"mine": net}, X, CLASS).get_lines()
    np.testing.assert_allclose(line.get_ydata(), [np.linalg.norm(dW) for dW in net.loss_and_grad(X, CLASS)[1]])
    assert list(line.get_xdata()) == [1, 2, 3]


# ---- notebooks ------------------------------------------------------------------------------------------------------


def test_notebooks_show_small_tables_without_scripts():
    from xml.etree import ElementTree as ET

    net = make((2, 5, 1), activation=fastmlp.LeakyReLU(0.2))
    history = net.fit(X, CLASS, epochs=3, validation_data=(X, CLASS), profile=True)
    things = {"net": net, "profile": net.profile_, "trace": net.trace(X, CLASS), "history": history}
    shown = {name: thing._repr_html_() for name, thing in things.items()}
    for text in shown.values():
        assert len(text) < 4000
        assert "<script" not in text
        ET.fromstring(f"<div>{text}</div>")  # whole and escaped
    cells = [cell.text for cell in ET.fromstring(shown["net"]).iter("td")]
    assert cells[:4] == ["1", "2 -> 5", "LeakyReLU(0.2)", "15"]
    assert cells[-4:] == ["total", None, None, "21"]
    assert f"{history.val_loss[-1]:.4g}" in shown["history"]
    assert shown["history"].count("<polyline") == 2
    assert fastmlp.History()._repr_html_().startswith("<table>")
