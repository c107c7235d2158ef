"""A sensor model with a head of the user's own beside its parameters, as one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from noisediag.cop import checkpoint as store
from noisediag.cop.encoder import Encoder, EncoderConfig, features
from noisediag.cop.few_shot import FewShotConfig, FewShotHead, Reading
from noisediag.cop.models import SensorModel
from noisediag.cop.tokens import Tokens, tokenize
from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError
from noisediag.footprint.plane import Estimate, PlaneFootprint
from noisediag.genome.parameters import NAMES, parameter

KIND = "tuned"
OWN = "own"  # prefix of the head's tensors
OWN_ENCODER = "own_encoder"  # and of an encoder that it reads in the place of the sensor model's


@dataclass(frozen=True)
class Described:
    """What the networks say of one picture's pixels: the inputs of a few-shot head, `(1, sum(groups))`."""

    inputs: Tensor
    groups: tuple[int, ...]


def describe(
    model: SensorModel, tokens: Tokens, step: float, *, free_intercept: bool, encoder: Encoder | None = None
) -> Described:
    """Inputs of one bag, by its tokens of both grids; `step` between its levels, 0 where none.

    Four groups: the embedding in the leading components of what pretraining has shown (of another `encoder`: see
    `embed`), the level of signal and noise, the scale-free evidence, and the closed-form features of the blocks of
    both grids, mean and deviation, where a compression by blocks of 8 px shows.
    """
    device = tokens.mean.device
    with torch.inference_mode():
        answer = model.answer(
            tokens, torch.tensor([step], device=device), torch.tensor([free_intercept], device=device)
        )
        if encoder is None:
            embedding = (answer.embedding - model.familiarity.mean) @ model.familiarity.whiten
        else:
            embedding = _embedded(encoder, tokens.first_grid())[None]
        evidence = answer.evidence
        middle = evidence.sigma.log()
        blocks = [part.flatten(1, 3) for part in tokens.split(features(tokens)[0])]
        closed = [statistic for part in blocks for statistic in (part.mean(1), part.std(1))]
        parts = [
            embedding,
            torch.cat([evidence.base, evidence.absolute, middle], 1),
            evidence.features,
            torch.cat(closed, 1),
        ]
    return Described(torch.cat([part.double().cpu() for part in parts], 1), tuple(part.shape[1] for part in parts))


def embed(encoder: Encoder, tiles: Tensor) -> Tensor:
    """What another encoder than the sensor model's says of one bag `(T, H, W)`: where its genome lies if it was
    trained to say so, else the embedding as it is, `(E,)`.
    """
    with torch.inference_mode():
        return _embedded(encoder, tokenize(tiles[None], grids=1))


def _embedded(encoder: Encoder, tokens: Tokens) -> Tensor:
    embedding = encoder(tokens)
    said = encoder.locate(embedding)[0] if encoder.config.near else embedding
    return said[0].double().cpu()


@dataclass(frozen=True)
class Tuned:
    """The user's own head, and the encoder it reads if that was tuned, too, or given (None: the sensor model's)."""

    head: FewShotHead
    encoder: Encoder | None = None

    def add(self, plane: PlaneFootprint, inputs: Tensor) -> PlaneFootprint:
        """`plane` with what the head says of its `inputs` (1, I): in the place of a parameter of ours, or behind."""
        span = plane.span_dn
        estimates = {estimate.name: estimate for estimate in plane.parameters}
        for reading in self.head.read(inputs)[0]:
            estimates[reading.column.name] = _estimate(reading, span)
        return replace(plane, parameters=tuple(estimates.values()))

    def to(self, device: torch.device) -> Tuned:
        """The head stays where double precision is."""
        return replace(self, encoder=None if self.encoder is None else self.encoder.to(device))


def _estimate(reading: Reading, span: float | None) -> Estimate:
    name = reading.column.name
    declared = parameter(name) if name in NAMES else None
    if isinstance(reading.value, str):
        return Estimate(name, None, None, None, reading.share, symbol=name, word=reading.value)

    def dn(value: float | None) -> float | None:
        return (
            None if value is None or span is None or declared is None or not declared.scales_with_dn else value * span
        )

    return Estimate(
        name,
        reading.value,
        reading.low,
        reading.high,
        None,
        symbol=name if declared is None else declared.symbol,
        unit=reading.column.unit,
        value_dn=dn(reading.value),
        low_dn=dn(reading.low),
        high_dn=dn(reading.high),
    )


def save(path: Path, model: SensorModel, tuned: Tuned, header: Mapping[str, Any]) -> None:
    """Write both as one checkpoint; `header` says what the head was tuned on."""
    own: dict[str, nn.Module] = {OWN: tuned.head}
    config = {**model.config, OWN: tuned.head.config.plain()}
    if tuned.encoder is not None:
        own[OWN_ENCODER] = tuned.encoder
        config[OWN_ENCODER] = asdict(tuned.encoder.config)
    store.save(
        path,
        {**dict(model.named_children()), **own},
        {
            "kind": KIND,
            "config": config,
            "calibration": model.calibration,
            "names": [column.name for column in tuned.head.config.columns],
            **header,
        },
    )


def load(found: store.Checkpoint) -> tuple[SensorModel, Tuned | None]:
    """A sensor model and, of a tuned one, the head beside it. Raises CheckpointError where `found` is neither."""
    if found.header.get("kind") != KIND:
        return SensorModel.load(found), None
    own = {key: t for key, t in found.tensors.items() if key.split(".")[0] in (OWN, OWN_ENCODER)}
    rest = {key: t for key, t in found.tensors.items() if key not in own}
    model = SensorModel.load(replace(found, header={**found.header, "kind": SensorModel.KIND}, tensors=rest))
    try:
        config = FewShotConfig.of(found.header["config"][OWN])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {found.name} holds no usable configuration for its own head") from error
    if [column.name for column in config.columns] != found.header.get("names"):
        raise CheckpointError(f"checkpoint {found.name} names other parameters than its head has")
    # Before a head of these sizes is made: what the file holds itself is no more than its own size.
    shapes = {key.removeprefix(f"{OWN}."): tuple(t.shape) for key, t in own.items() if key.startswith(f"{OWN}.")}
    if shapes != config.shapes:
        raise CheckpointError(f"checkpoint {found.name} does not match: its own head has other sizes than its weights")
    parts: dict[str, nn.Module] = {OWN: FewShotHead(config)}
    encoder = None
    if any(key.startswith(f"{OWN_ENCODER}.") for key in own):
        encoder = Encoder(store.config(found, OWN_ENCODER, EncoderConfig))
        parts[OWN_ENCODER] = encoder
    store.load_into(replace(found, tensors=own), parts)
    head = parts[OWN]
    assert isinstance(head, FewShotHead)
    head.check()
    return model, Tuned(head.eval(), None if encoder is None else encoder.eval())
