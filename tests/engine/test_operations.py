"""Every operation that the numpy engine offers is that of torch, in value and in type; what it does not offer it says.

Single precision that slips into double precision costs twice the time and is never seen in the numbers: the types are
compared as strictly as the values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from noisediag.engine import functions as own
from noisediag.engine import modules
from noisediag.engine import operations as own_functional
from noisediag.engine.tensor import EngineError, Tensor
from noisediag.engine.tensor import Tensor as Own

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 300, 7)).astype(np.float32)
POSITIVE = np.abs(X) + np.float32(0.1)
INDEX = RNG.integers(0, 7, (2, 300, 4))
FLAGS = X > 0.3
WHOLE = RNG.integers(1, 9, (2, 300))
DOUBLE = RNG.standard_normal((2, 300))
LONG = RNG.standard_normal((1, 5000, 3)).astype(np.float32)
SPD = np.stack([np.cov(RNG.standard_normal((3, 20))) for _ in range(4)])
NAN = np.where(X > 1, np.float32(np.nan), X)

# each is given torch, torch.nn.functional and something that makes its tensors
Call = Callable[[Any, Any, Callable[[Any], Any]], Any]
CALLS: dict[str, Call] = {
    "sums": lambda _, __, t: t(X).sum(1),
    "sum of all": lambda _, __, t: t(X).sum(),
    "sum of several": lambda _, __, t: t(X).sum((0, 2), keepdim=True),
    "sum of flags": lambda _, __, t: t(FLAGS).sum(1),
    "long sums": lambda _, __, t: t(LONG).sum(1, keepdim=True),
    "means": lambda _, __, t: t(X).mean(-1),
    "long means": lambda _, __, t: t(LONG).mean(1),
    "std": lambda _, __, t: t(X).std(1),
    "std of all": lambda _, __, t: t(X).std(1, correction=0),
    "cumsum": lambda _, __, t: t(POSITIVE).cumsum(1),
    "amax": lambda _, __, t: t(X).amax((1, 2), keepdim=True),
    "softmax short": lambda _, __, t: t(X).softmax(-1),
    "softmax long": lambda _, __, t: t(X).softmax(1),
    "softmax one": lambda _, __, t: t(X[:, 0, :1]).softmax(-1),
    "log_softmax": lambda _, __, t: t(X).log_softmax(-1),
    "logsumexp": lambda _, __, t: t(X).logsumexp(1, keepdim=True),
    "sigmoid": lambda _, __, t: (t(X) * 60).sigmoid(),
    "sigmoid of one": lambda _, __, t: t(X)[0, 0, 0].sigmoid(),
    "argsort": lambda _, __, t: t(X).argsort(1),
    "sort": lambda _, __, t: t(X).sort(1).values,
    "topk": lambda _, __, t: t(X).topk(3, largest=False)[0],
    "quantile": lambda _, __, t: t(X).quantile(0.3, 1),
    "quantiles": lambda m, __, t: t(X).quantile(m.tensor([0.0, 0.1, 0.77, 1.0]), 1),
    "quantile on the edge": lambda m, __, t: t(X[:, :13]).quantile(m.linspace(0, 1, 4)[1:-1], 1),
    "nanquantile": lambda m, __, t: m.nanquantile(t(NAN), 0.1, 1),
    "nan_to_num": lambda _, __, t: t(NAN).nan_to_num(0, 5, -5),
    "gather": lambda _, __, t: t(X).gather(2, t(INDEX)),
    "scatter": lambda m, __, t: m.zeros(2, 300).scatter_(1, t(DOUBLE).argsort(1), t(X)[..., 0].contiguous()),
    "scatter_add": lambda m, __, t: m.zeros(2, 9).scatter_add_(1, t(WHOLE), m.ones_like(t(X)[..., 0])),
    "index_add": lambda m, __, t: m.zeros(9).index_add_(0, t(WHOLE)[0], t(X)[0, :, 0]),
    "nonzero": lambda _, __, t: t(FLAGS).nonzero(),
    "masked_fill": lambda m, __, t: t(X).masked_fill(t(FLAGS), m.inf),
    "one_hot": lambda _, f, t: f.one_hot(t(WHOLE), 9),
    "where": lambda m, __, t: m.where(t(FLAGS), t(X), 5.0),
    "clamp whole by fraction": lambda _, __, t: t(WHOLE).clamp(min=0.5),
    "clamp": lambda _, __, t: t(X).clamp(-1, 1),
    "lerp": lambda m, __, t: m.lerp(t(X), t(POSITIVE), t(POSITIVE)),
    "maximum of two types": lambda m, __, t: m.maximum(t(X)[..., 0], t(DOUBLE)),
    "whole over whole": lambda _, __, t: t(WHOLE) / t(WHOLE),
    "whole over number": lambda _, __, t: t(WHOLE) / 3,
    "number over whole": lambda _, __, t: 1 / t(WHOLE),
    "whole plus fraction": lambda _, __, t: t(WHOLE) + 0.5,
    "single less whole": lambda _, __, t: t(X)[..., 0] - t(WHOLE),
    "single times flags": lambda _, __, t: t(X) * t(FLAGS),
    "double times single": lambda _, __, t: t(DOUBLE) * t(X)[..., 0],
    "single times double of no dimension": lambda _, __, t: t(X) * t(DOUBLE)[0, 0],
    "flags less number": lambda _, __, t: 1 - t(FLAGS).float(),
    "log of whole": lambda _, __, t: t(WHOLE).log(),
    "digamma": lambda _, __, t: (t(WHOLE) / 2).digamma(),
    "power": lambda _, __, t: t(POSITIVE) ** 1.5 + t(X) ** 3 + t(POSITIVE) ** -0.5,
    "floor of halves": lambda _, __, t: (t(WHOLE) / 2).round() + (t(WHOLE) / 2).floor(),
    "whole floordiv": lambda _, __, t: t(WHOLE) // 2,
    "inverse": lambda _, __, t: t(X).reciprocal(),
    "log1p": lambda m, __, t: m.log1p(t(POSITIVE)),
    "bessel": lambda m, __, t: m.special.i0e(t(DOUBLE**2)) + m.special.i1e(t(DOUBLE**2)),
    "erf": lambda m, __, t: m.erf(t(DOUBLE)),
    "matmul": lambda _, __, t: t(X) @ t(X).transpose(1, 2),
    "matmul by vector": lambda _, __, t: t(X) @ t(X)[0, 0],
    "einsum": lambda m, __, t: m.einsum("bnh,bnw->bhw", t(X), t(POSITIVE)),
    "addmm": lambda m, __, t: m.addmm(t(X)[0], t(X)[1], t(X)[0, :7]),
    "solve": lambda m, __, t: m.linalg.solve(t(SPD), t(SPD[:, 0])),
    "solve many": lambda m, __, t: m.linalg.solve(t(SPD), t(SPD)),
    "pinv": lambda m, __, t: m.linalg.pinv(t(SPD)),
    "diagonals": lambda m, __, t: m.diag_embed(t(SPD).diagonal(dim1=1, dim2=2)),
    "kron": lambda m, __, t: m.kron(t(SPD[0]), t(SPD[1])),
    "rfft": lambda m, __, t: m.fft.rfft(t(X)[..., 0]).abs(),
    "searchsorted": lambda m, __, t: m.searchsorted(t(X)[..., 0].sort(1).values, t(X)[:, :4, 1].contiguous()),
    "gradient": lambda m, __, t: m.gradient(t(DOUBLE)[0], spacing=(t(np.cumsum(np.abs(DOUBLE[0]))),))[0],
    "cat of two types": lambda m, __, t: m.cat([t(X)[..., 0], t(DOUBLE)], 1),
    "stack": lambda m, __, t: m.stack([t(X), t(X)], -1),
    "split": lambda m, __, t: m.split(t(X), [3, 4], -1)[1],
    "unflatten": lambda m, __, t: m.unflatten(t(X), 1, (30, 10)),
    "flatten": lambda _, __, t: t(X).flatten(1),
    "permute": lambda _, __, t: t(X).permute(2, 0, 1).expand(7, 2, 300),
    "repeat": lambda _, __, t: t(X).repeat(2, 1, 1),
    "unbind": lambda _, __, t: t(X).unbind(-1)[3],
    "index by tensors": lambda m, __, t: t(X)[m.arange(2)[:, None], t(WHOLE)],
    "in place": lambda m, __, t: m.ones_like(t(X)).mul_(t(X)).add_(t(X)),
    "tensor of lists": lambda m, __, t: m.tensor([(1, 2), (3, 4)]) + m.tensor([0.5, 1.5]) + m.tensor(2.0),
    "linspace": lambda m, __, t: m.linspace(-1, 2, 17) + m.linspace(0, 1, 17, dtype=m.float64),
    "full": lambda m, __, t: m.full((2, 3), 0.5) + m.full_like(m.ones(2, 3), 2.0) + m.eye(3)[:2],
    "pad": lambda _, f, t: f.pad(t(X), (1, 2, 3, 4)),
    "pad mirrored": lambda _, f, t: f.pad(t(X)[:, None], (1, 1, 1, 1), mode="reflect"),
    "avg_pool": lambda _, f, t: f.avg_pool2d(t(X)[:, None], 2),
    "adaptive_avg_pool": lambda _, f, t: f.adaptive_avg_pool2d(t(X), (4, 3)),
    "hardswish": lambda _, f, t: f.hardswish(t(X) * 3),
    "gelu": lambda _, f, t: f.gelu(t(X) * 3),
    "softplus": lambda _, f, t: f.softplus(t(X) * 3),
    "normalize": lambda _, f, t: f.normalize(t(X), dim=-1),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_operation_is_that_of_torch(name: str) -> None:
    wanted = CALLS[name](torch, functional, lambda array: torch.from_numpy(np.array(array)))
    with own.inference_mode():
        found = CALLS[name](own, own_functional, lambda array: own.from_numpy(np.array(array)))
    assert isinstance(found, Own)
    assert str(wanted.dtype) == f"torch.{found.dtype}"
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=2e-5, atol=2e-6)


def test_modules_are_those_of_torch() -> None:
    torch.manual_seed(0)

    def made(kind: Any) -> Any:
        return kind.Sequential(kind.LayerNorm(7), kind.Linear(7, 9), kind.GELU(), kind.Linear(9, 2, bias=False))

    theirs, ours = made(nn), made(modules)
    weights = {name: own.from_numpy(value.numpy()) for name, value in theirs.state_dict().items()}
    assert ours.state_dict().keys() == weights.keys()
    ours.load_state_dict(weights)
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(ours(own.from_numpy(X)).numpy(), wanted, rtol=1e-4, atol=1e-5)
    other = copy.deepcopy(ours)
    next(other.parameters()).zero_()
    assert not np.array_equal(other(own.from_numpy(X)).numpy(), wanted)
    np.testing.assert_allclose(ours(own.from_numpy(X)).numpy(), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(EngineError, match="shape"):
        ours.load_state_dict(weights | {"1.weight": own.zeros(2, 2)})
    with pytest.raises(EngineError, match="no place"):
        ours.load_state_dict(weights | {"9.weight": own.zeros(2, 2)})


WRONG: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "a method": lambda x, _: x.erfinv(),
    "a function": lambda x, _: own.istft(x),
    "a functional": lambda x, _: own_functional.conv2d(x),
    "a module": lambda _, __: modules.Conv2d(1, 1, 1),
    "a formula": lambda x, _: own.einsum("bij,bjk->bik", x, x),
    "a padding": lambda x, _: own_functional.pad(x, (1, 1), mode="circular"),
    "a product of two types": lambda x, d: x @ d.transpose(0, 1),
    "a lerp of two types": lambda x, d: own.lerp(x[..., 0], d, d),
    "an array for a tensor": lambda x, _: x + X,
    "double written into single": lambda x, d: x.__setitem__((..., 0), d),
    "double added to single in place": lambda x, d: x[..., 0].add_(d),
    "halves of whole numbers in place": lambda _, __: own.from_numpy(np.array(WHOLE)).mul_(0.5),
    "the mean of whole numbers": lambda _, __: own.from_numpy(WHOLE).mean(1),
    "bessel below 0": lambda _, d: own.special.i0e(d),
    "digamma of a third": lambda x, _: x.digamma(),
    "another type": lambda _, __: own.from_numpy(X.astype(np.float16)),
    "gelu in double precision": lambda _, d: own_functional.gelu(d),
    "parts that leave some over": lambda x, _: own.split(x, [3, 3], -1),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_offered_is_an_error(name: str) -> None:
    with pytest.raises(EngineError):
        WRONG[name](own.from_numpy(X.copy()), own.from_numpy(DOUBLE.copy()))


def test_numpy_that_slips_into_double_precision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from noisediag.engine import tensor

    with pytest.raises(EngineError, match="float64 where float32"):
        tensor.wrapped(X.astype(np.float64), tensor.SINGLE)
