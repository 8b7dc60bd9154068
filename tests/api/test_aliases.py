"""PyTorch's and Keras's names of parameters: the same objects, whatever they are called by."""

import ast
import copy
import dataclasses
import inspect
import pickle
from pathlib import Path

import pytest

import fastmlp
from fastmlp.spec import OPTIMIZERS

KINDS = [*OPTIMIZERS.values(), fastmlp.LeakyReLU]
ALIASES = [(kind, alias, own) for kind in KINDS for alias, own in kind.__init__.aliases.items()]
#: What the constructors of torch.optim and keras.optimizers take and we call otherwise, by optimizer.
THEIRS = {
    "sgd": {"lr"},
    "rprop": {"lr", "etas", "step_sizes"},
    "rmsprop": {"lr", "alpha", "eps"},
    "adagrad": {"lr", "lr_decay", "eps"},
    "adadelta": {"lr", "eps"},
    "muon": {"lr", "eps"},
    "lion": {"lr", "betas", "beta_1", "beta_2"},
}
ADAMS = {"lr", "betas", "beta_1", "beta_2", "eps"}


def names_of(kind):
    """The hyperparameters in their order."""
    return [field.name for field in dataclasses.fields(kind)]


def value(own):
    """A value that is right for a hyperparameter and not its default; a pair for two of them."""
    if not isinstance(own, str):
        return tuple(map(value, own))
    return {"eta_plus": 1.5, "smallest_step": 1e-5, "largest_step": 40.0}.get(own, 0.125)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_the_names_of_others(name):
    assert set(OPTIMIZERS[name].__init__.aliases) == THEIRS.get(name, ADAMS)


@pytest.mark.parametrize(("kind", "alias", "own"), ALIASES, ids=lambda case: getattr(case, "name", None))
def test_an_alias_means_what_it_stands_for(kind, alias, own):
    names, values = ((own,), (value(own),)) if isinstance(own, str) else (own, value(own))
    made, plain = kind(**{alias: value(own)}), kind(**dict(zip(names, values, strict=True)))
    assert made == plain != kind()
    assert (repr(made), hash(made), made.to_dict()) == (repr(plain), hash(plain), plain.to_dict())
    assert not hasattr(made, alias)
    for same in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made)), dataclasses.replace(made)):
        assert same == made
    for name in names:
        with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) got {name} and {alias}, which mean the same: give"):
            kind(**{alias: value(own), name: value(name)})
    place = names_of(kind).index(names[0])
    with pytest.raises(TypeError, match=f"got {names[0]} and {alias}"):
        kind(*[value(name) for name in names_of(kind)][: place + 1], **{alias: value(own)})
    if isinstance(own, str):
        with pytest.raises(ValueError, match=f"^{alias}: {own} must be"):
            kind(**{alias: -1.0})


def test_two_aliases_of_one_are_refused_and_what_is_no_pair():
    with pytest.raises(TypeError, match=r"Adam\(\) got betas and beta_2, which mean the same: give one"):
        fastmlp.Adam(betas=(0.8, 0.9), beta_2=0.9)
    for wrong in (0.9, "ab", (0.9,), (0.9, 0.99, 0.999)):
        with pytest.raises(TypeError, match="betas must be a pair, of beta1 and beta2, got"):
            fastmlp.AdamW(betas=wrong)
    with pytest.raises(ValueError, match="^betas: beta2 must be >= 0 and < 1, got 1.0"):
        fastmlp.Lion(betas=[0.9, 1.0])
    with pytest.raises(TypeError, match="got learning_rate and lr"):
        dataclasses.replace(fastmlp.Adam(), lr=0.1)


def seen_by_type_checkers(kind):
    """The parameters of the `__init__` that stands under TYPE_CHECKING in a class: those with a place, and keywords."""
    tree = ast.parse(Path(inspect.getsourcefile(kind)).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    guarded = next(node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    arguments = guarded.body[0].args
    return [each.arg for each in arguments.args[1:]], [each.arg for each in arguments.kwonlyargs]


@pytest.mark.parametrize("kind", [*KINDS, fastmlp.LBFGS], ids=lambda kind: kind.name)
def test_type_checkers_and_editors_see_all_names(kind):
    own, aliases = names_of(kind), list(kind.__init__.aliases)
    assert seen_by_type_checkers(kind) == (own, aliases)
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == own + aliases
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in aliases)
    entries = [
        line.partition(" : ")[0].split(",") for line in kind.__doc__.splitlines() if line.endswith(" : optional")
    ]
    assert set(aliases) in [{name.strip() for name in entry} for entry in entries]
