"""What stands for `torch.nn` where numpy computes: modules that hold weights under torch's names, and are not trained.

Weights are zeros until a checkpoint fills them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from noisediag.engine.operations import gelu, linear
from noisediag.engine.tensor import DOUBLE, SINGLE, EngineError, Tensor


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise EngineError(f"the numpy engine has no nn.{name}")


class Module:
    """Parameters, buffers and modules by the names of the attributes that hold them."""

    training = False

    def __init__(self) -> None:
        self._parameters: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}
        self._fleeting: set[str] = set()  # buffers that no checkpoint holds
        self._modules: dict[str, Module] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            self._modules[name] = value
        elif isinstance(value, Parameter):
            self._parameters[name] = value
        object.__setattr__(self, name, value)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        return self.forward(*inputs, **named)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        raise NotImplementedError

    def register_buffer(self, name: str, value: Tensor, persistent: bool = True) -> None:
        self._buffers[name] = value
        if not persistent:
            self._fleeting.add(name)
        object.__setattr__(self, name, value)

    def get_buffer(self, name: str) -> Tensor:
        return self._buffers[name]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return iter(self._modules.items())

    def parameters(self) -> Iterator[Tensor]:
        yield from self._parameters.values()
        for module in self._modules.values():
            yield from module.parameters()

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        kept = {name: value for name, value in self._buffers.items() if name not in self._fleeting}
        held = {f"{prefix}{name}": value for name, value in (self._parameters | kept).items()}
        for name, module in self._modules.items():
            held |= module.state_dict(f"{prefix}{name}.")
        return held

    def load_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        held = self.state_dict()
        if held.keys() != weights.keys():
            raise EngineError(f"{len(held.keys() ^ weights.keys())} weights have no place, or are missing")
        for name, value in held.items():
            if value.shape != weights[name].shape:
                raise EngineError(f"the weights {name} have the shape {weights[name].shape}, not {value.shape}")
            value.array[...] = weights[name].array

    def to(self, device: Any) -> Module:
        return self

    def eval(self) -> Module:
        return self


class Parameter(Tensor):
    """A tensor that is a weight."""

    __slots__ = ()

    def __init__(self, value: Tensor):
        super().__init__(value.array)


class Linear(Module):
    """x W' + b, with `weight` (outputs, inputs) and `bias` (outputs,)."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__()
        self.weight = Parameter(Tensor(np.zeros((outputs, inputs), SINGLE)))
        self.bias = Parameter(Tensor(np.zeros(outputs, SINGLE))) if bias else None

    def forward(self, values: Tensor) -> Tensor:
        return linear(values, self.weight, self.bias)


class GELU(Module):
    """x * Phi(x)."""

    def forward(self, values: Tensor) -> Tensor:
        return gelu(values)


class LayerNorm(Module):
    """Along the last dimension: mean 0 and variance 1, then scaled and shifted."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = Parameter(Tensor(np.ones(size, SINGLE)))
        self.bias = Parameter(Tensor(np.zeros(size, SINGLE)))

    def forward(self, values: Tensor) -> Tensor:
        wide = values.array.astype(DOUBLE)
        away = wide - wide.mean(-1, keepdims=True)
        made = away / np.sqrt(np.square(away).mean(-1, keepdims=True) + 1e-5)
        return Tensor(made.astype(SINGLE) * self.weight.array + self.bias.array)


class Sequential(Module):
    """One after the other."""

    def __init__(self, *modules: Module):
        super().__init__()
        for number, module in enumerate(modules):
            self._modules[str(number)] = module

    def forward(self, values: Tensor) -> Tensor:
        for module in self._modules.values():
            values = module(values)
        return values


class ModuleList(Module):
    """Several, by their numbers."""

    def __init__(self, modules: Iterable[Module]):
        super().__init__()
        for number, module in enumerate(modules):
            self._modules[str(number)] = module

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)
