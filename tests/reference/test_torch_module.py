"""`fastmlp.torch`: modules of PyTorch whose passes are fastmlp's. Oracle: the same modules, computed by PyTorch."""

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT

torch = pytest.importorskip("torch")

import fastmlp.torch as ft  # noqa: E402
from fastmlp.torch.activations import MODULES  # noqa: E402
from fastmlp.torch.arrays import ArrayPasses  # noqa: E402

nn = torch.nn
F64 = torch.float64


def pair(sizes=(5, 9, 7, 3), dtype=F64, **settings):
    """A fused network and PyTorch's, with copies of the same parameters."""
    torch.manual_seed(1)
    fused = ft.MLP(sizes, dtype=dtype, **settings)
    return fused, copy.deepcopy(ft.to_sequential(fused))


def rows(n=11, columns=5, dtype=F64, seed=2):
    return torch.randn(n, columns, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def results(module, x):
    """Outputs, and derivatives of a function of them by inputs and parameters."""
    x = x.clone().requires_grad_()
    out = module(x)
    found = torch.autograd.grad(out.sin().sum(), [x, *module.parameters()])
    return [out.detach(), *found]


def assert_same(fused, plain, x, tolerance=1e-12):
    for ours, theirs in zip(results(fused, x), results(plain, x), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("activation", "output"),
    [*((name, "identity") for name in sorted(set(MODULES) - {"softmax"})), ("tanh", "softmax"), ("gelu", "logistic")],
)
def test_outputs_and_gradients_are_pytorchs(activation, output):
    # PyTorch's softplus ends above 20, and its slope of hard_sigmoid is 1 / 6 in float32.
    tolerance = 1e-7 if activation in ("softplus", "hard_sigmoid") else 1e-12
    assert_same(*pair(activation=activation, output=output), rows(), tolerance)


@pytest.mark.parametrize("activation", ["tanh", "prelu", "identity"])
def test_normalised_layers_are_pytorchs(activation):
    fused, plain = pair(activation=activation, norm="layer")
    assert [type(module).__name__ for module in fused][:2] == ["Linear", "LayerNorm"]
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    plain.load_state_dict(fused.state_dict())
    assert_same(fused, plain, rows())
    assert_same(ft.from_sequential(plain), plain, rows())
    assert list(fused.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(torch.compile(fused, backend="eager")(rows()), plain(rows()))


def test_slopes_of_units_are_of_the_last_dimension_or_pytorchs():
    """PyTorch's PReLU has them of the second one, whatever is behind it."""
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Linear(5, 9), nn.PReLU(9), nn.Linear(9, 3), nn.PReLU()).to(F64)
    fused = ft.from_sequential(copy.deepcopy(plain))
    assert_same(fused, plain, rows())
    assert_same(fused, plain, rows(9 * 4).reshape(4, 9, 5))
    with pytest.raises(ValueError, match="Linear, PReLU"):
        ft.from_sequential(nn.Sequential(nn.Linear(5, 9), nn.PReLU(4)))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (4, 3, 5), (0, 5), (300, 5)], ids=str)
def test_inputs_of_any_leading_shape(shape):
    fused, plain = pair(activation="tanh")
    assert_same(fused, plain, rows(int(np.prod(shape[:-1], dtype=int))).reshape(shape))
    x = rows(10, 10)[:, ::2]
    with torch.no_grad():
        torch.testing.assert_close(fused(x), plain(x))
    assert_same(fused, plain, x)


def test_gradcheck():
    fused, _ = pair((3, 5, 2), activation="gelu")
    x = rows(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, *p: torch.func.functional_call(fused, dict(zip(dict(fused.named_parameters()), p, strict=True)), x),
        (x, *fused.parameters()),
    )


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_it_trains_with_pytorchs_optimizers_as_the_plain_module_does(kind, dtype):
    fused, plain = pair(activation="tanh", dtype=dtype)
    x, y = rows(40, dtype=dtype), rows(40, 3, dtype=dtype)

    def losses(module):
        optimizer = getattr(torch.optim, kind)(module.parameters(), lr=0.05)

        def closure():
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(module(x), y)
            loss.backward()
            return loss

        return [optimizer.step(closure).item() for _ in range(15)]

    ours, theirs = losses(fused), losses(plain)
    np.testing.assert_allclose(ours, theirs, rtol=1e-2 if dtype is torch.float32 else 1e-9)
    assert ours[-1] < ours[0]


def test_compile_and_export():
    fused, plain = pair((4, 6, 2), activation="tanh", dtype=torch.float32)
    compiled = torch.compile(fused, fullgraph=True, backend="aot_eager")
    assert_same(compiled, plain, rows(7, 4, torch.float32), 1e-5)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(fused, (rows(7, 4, torch.float32),), dynamic_shapes=({0: batch},))
    assert any("fastmlp.network" in str(node.target) for node in program.graph.nodes)
    x = rows(9, 4, torch.float32)
    torch.testing.assert_close(program.module()(x), plain(x))


def test_the_operators_are_sound():
    fused, _ = pair((3, 4, 2), activation="tanh")
    arguments = rows(5, 3).requires_grad_(), [p.detach().requires_grad_() for p in fused.parameters()]
    torch.library.opcheck(ft.operators.network, (*arguments, fused._parts[0].layers))


def test_a_state_dict_is_that_of_the_sequential_and_copies_are_whole():
    fused, plain = pair(activation="relu", output="softmax")
    assert list(fused.state_dict()) == list(plain.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias",
                                                                     "4.weight", "4.bias"]  # fmt: skip
    assert [v.shape for v in fused.state_dict().values()] == [v.shape for v in plain.state_dict().values()]
    x = rows()
    fused(x).sum().backward()
    file = io.BytesIO()
    torch.save(fused, file)
    file.seek(0)
    copies = [copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), torch.load(file, weights_only=False)]
    for made in copies:
        assert type(made) is ft.MLP
        torch.testing.assert_close(made(x), fused(x))
        with torch.no_grad():
            made[0].weight += 1
        assert not torch.equal(made(x), fused(x))
    loaded = ft.MLP((5, 9, 7, 3), output="softmax", dtype=F64)
    loaded.load_state_dict(plain.state_dict())
    torch.testing.assert_close(loaded(x), plain(x))


def test_no_way_to_change_the_parameters_is_missed():
    fused, plain = pair((5, 9, 9, 3), activation="tanh")
    x = rows()
    changes = [
        lambda module: module[0].weight.data.mul_(1.5),  # which shows in no version
        lambda module: module[0].weight.detach().numpy().__imul__(0.5),
        lambda module: setattr(module[2], "weight", nn.Parameter(2 * module[2].weight.detach())),
        lambda module: module.__setitem__(1, nn.LeakyReLU(0.3)),
        lambda module: setattr(module[1], "negative_slope", 0.6),
        lambda module: setattr(module[0].weight, "data", module[0].weight.data.t().contiguous().t()),
        lambda module: setattr(module[2].weight, "data", module[2].weight.data.t()),  # the same address and shape
        lambda module: module.float().double(),
    ]
    for change in changes:
        with torch.no_grad():
            torch.testing.assert_close(fused(x), plain(x))
        change(fused)
        change(plain)
        assert_same(fused, plain, x)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_both_ways_to_a_tensors_memory_are_one(dropout, monkeypatch):
    with_table = pair((5, 40, 7, 3), torch.float32, activation="tanh", dropout=dropout)[0]
    monkeypatch.delattr(torch.Tensor, "__dlpack_c_exchange_api__", raising=False)  # as a PyTorch before 2.10
    without = copy.deepcopy(with_table)
    found = []
    for module in (with_table, without):
        module[0].bias.requires_grad_(False)
        torch.manual_seed(3)
        x = rows(150, dtype=torch.float32).requires_grad_()
        out = module(x)
        out.sin().sum().backward()
        found.append([out, x.grad, *(p.grad for p in module.parameters()), module.eval()(x.detach()[:1])])
    assert isinstance(without._parts[0]._last.passes, ArrayPasses)
    assert found[0][3] is None  # of the bias
    for first, second in zip(*found, strict=True):
        assert (first is None and second is None) or torch.equal(first, second)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: torch.complex(x, x).conj().imag,  # whose sign is in no number, but in a flag
        lambda x: x.t().contiguous().t(),
        lambda x: x.expand(2, *x.shape)[1],
        lambda x: x[:1].expand_as(x),
        lambda x: x[::2, :],
        lambda x: torch.cat([x, x], 1)[:, ::2],
    ],
)
def test_inputs_that_lie_otherwise_in_memory(change):
    fused, plain = pair(activation="tanh")
    fused(rows())  # what comes next is a second call, which expects what came before
    x = change(rows())
    with torch.no_grad():
        torch.testing.assert_close(fused(x), plain(x))
    for module in (fused, plain):
        module(x).square().sum().backward()
    for ours, theirs in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_derivatives_whose_memory_has_the_other_sign():
    """As those of a complex loss may be."""
    fused, plain = pair((5, 9, 1))
    x, by_outputs = rows(1), torch.full((1, 1, 2), 0.7, dtype=F64)
    by_outputs = torch.view_as_complex(by_outputs).conj().imag
    assert by_outputs.is_neg()
    assert by_outputs.is_contiguous()
    for ours, theirs in zip(
        *(torch.autograd.grad(m(x), m.parameters(), by_outputs) for m in (fused, plain)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_what_wants_no_gradient_gets_none():
    fused, _ = pair(activation="tanh")
    x = rows()
    with torch.no_grad():
        assert fused(x).grad_fn is None
    fused.requires_grad_(False)
    assert fused(x).grad_fn is None
    given = x.clone().requires_grad_()
    fused(given).sum().backward()
    assert given.grad is not None
    fused[2].weight.requires_grad_(True)
    fused(x).sum().backward()
    assert [p.grad is not None for p in fused.parameters()] == [False, False, True, False, False, False]


def test_a_graph_may_be_used_again_and_two_at_once():
    fused, plain = pair(activation="tanh")
    for module in (fused, plain):
        first, second = module(rows()), module(rows(seed=5))
        (first * second).sum().backward(retain_graph=True)
        first.sum().backward()
    for ours, theirs in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    with pytest.raises(RuntimeError, match="second time"):
        first = fused(rows())
        first.sum().backward()
        first.sum().backward()


def test_parameters_exchanged_between_forward_and_backward():
    fused, plain = pair(activation="tanh")
    for module in (fused, plain):
        given = module.given = rows().requires_grad_()
        loss = module(given).sum()
        module[2].weight = nn.Parameter(torch.zeros_like(module[2].weight))
        module(rows())
        loss.backward()
    torch.testing.assert_close(fused.given.grad, plain.given.grad)


def test_clear_errors():
    fused, _ = pair(activation="tanh")
    x = rows()
    with pytest.raises(TypeError, match=r"input must be torch.float64, as the parameters are, got torch.float32"):
        fused(x.float())
    with pytest.raises(ValueError, match=r"input must have shape \(..., 5\), got \(11, 4\)"):
        fused(x[:, :4])
    with pytest.raises(RuntimeError, match="input is on meta"):
        fused(x.to("meta"))
    with pytest.raises(TypeError, match="input must be a tensor, got ndarray"):
        fused(x.numpy())
    with pytest.raises(TypeError, match="parameters must be float32 or float64"):
        fused.half()(x.half())
    fused.double()
    loss = fused(x).sum()
    with torch.no_grad():
        fused[0].weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    given = x.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="none of derivatives"):
        torch.autograd.grad(fused(given).sum(), given, create_graph=True)
    with pytest.raises(ValueError, match="activation must be one of"):
        ft.MLP([2, 3, 1], activation="rulu")
    with pytest.raises(ValueError, match="sizes must be two or more"):
        ft.MLP([2])
    with pytest.raises(ValueError, match="got Linear, BatchNorm1d"):
        ft.from_sequential(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    for norm in (nn.LayerNorm(3, eps=1e-3), nn.LayerNorm(3, elementwise_affine=False), nn.LayerNorm((2, 3))):
        with pytest.raises(ValueError, match=r"got Linear \(no bias\), LayerNorm, ReLU, Linear"):
            ft.from_sequential(nn.Sequential(nn.Linear(2, 3, bias=False), norm, nn.ReLU(), nn.Linear(3, 1)))
    with pytest.raises(ValueError, match="got Linear, LayerNorm, ReLU, Linear"):  # biases twice
        ft.from_sequential(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 1)))
    with pytest.raises(ValueError, match=r"got Linear \(no bias\), LayerNorm"):  # behind the last
        ft.from_sequential(nn.Sequential(nn.Linear(2, 3, bias=False), nn.LayerNorm(3)))
    with pytest.raises(ValueError, match="norm must be None or 'layer', got 'batch'"):
        ft.MLP([2, 3, 1], norm="batch")


def test_inputs_changed_between_forward_and_backward_do_not_matter():
    fused, plain = pair(activation="tanh")
    x = rows()
    loss, wanted = fused(x).sum(), torch.autograd.grad(plain(x).sum(), list(plain.parameters()))
    x.zero_()
    loss.backward()
    for ours, theirs in zip(fused.parameters(), wanted, strict=True):
        torch.testing.assert_close(ours.grad, theirs)


def test_dropout_follows_the_seed_and_drops_in_training_only():
    fused, plain = pair((20, 200, 3), activation="relu", dropout=0.5, dtype=torch.float32)
    x = rows(30, 20, torch.float32)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(results(fused, x))
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[2][0])
    with torch.no_grad():
        mean = torch.stack([fused(x) for _ in range(300)]).mean(0)
        torch.testing.assert_close(mean, plain.eval()(x), atol=0.15, rtol=0)
    assert_same(fused.eval(), plain, x, 1e-5)


def test_accelerate_says_what_it_replaced_and_keeps_every_name():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            relu = nn.ReLU()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), relu, nn.Dropout(0.1), nn.Linear(8, 8), relu,
                                      nn.LayerNorm(8), nn.Linear(8, 4), nn.Tanh())  # fmt: skip
            self.head = nn.Sequential(nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 2))
            self.alone = nn.Linear(2, 2)
            self.hooked = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
            self.hooked[0].register_forward_hook(lambda *_: None)

        def forward(self, x):
            return self.hooked(self.alone(self.head(self.body(x))))

    torch.manual_seed(0)
    plain = Model().double().eval()
    fused, replaced = ft.accelerate(copy.deepcopy(plain))
    assert replaced == [
        "body.1 to 5: Linear(6, 8), ReLU, Dropout, Linear(8, 8), ReLU",
        "body.7 to 8: Linear(8, 4), Tanh",
        "head.0 to 2: Linear(4, 4), SiLU, Linear(4, 2)",
    ]
    assert list(fused.state_dict()) == list(plain.state_dict())
    assert type(fused.hooked) is nn.Sequential
    assert type(fused.head) is ft.MLP
    assert_same(fused, plain, rows(5, 6))
    assert_same(copy.deepcopy(fused), plain, rows(5, 6))
    assert ft.accelerate(fused)[1] == []


def test_the_example_learns():
    path = ROOT / "examples" / "torch_training.py"
    if not path.exists():
        pytest.skip(f"no examples in {ROOT}")
    result = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    losses = [float(line.rpartition(" ")[2]) for line in result.stdout.splitlines()]
    assert losses[0] > losses[2]
    assert losses[2] == pytest.approx(losses[3], rel=1e-2, abs=1e-4)


def test_the_package_is_not_imported_with_fastmlp():
    code = "import sys, fastmlp; assert 'torch' not in sys.modules and 'fastmlp.torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
