"""A sensor model with a head of the user's own beside its parameters, as one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from noisediag.cop import checkpoint as store
from noisediag.cop.encoder import Encoder, EncoderConfig, block_features, lower_median
from noisediag.cop.few_shot import FewShotConfig, FewShotHead, Reading
from noisediag.cop.models import AnyEncoder, Familiarity, SensorModel
from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.cop.tokens import Tokens, tokenize
from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError, is_name
from noisediag.footprint.plane import Estimate, PlaneFootprint
from noisediag.genome.parameters import NAMES, parameter

KIND = "tuned"
OWN = "own"  # prefix of the head's tensors
OWN_ENCODER = "own_encoder"  # and of another encoder than the sensor model's that it reads
OWN_NEAR_ENCODER = "own_near_encoder"  # or of one of near genomes
OWN_COMPONENTS = "own_components"  # and of what the head reads of that one's embedding
OWN_PARTS = (OWN, OWN_ENCODER, OWN_NEAR_ENCODER, OWN_COMPONENTS)
MODELS_OWN = ("embedding", "levels", "evidence", "blocks")  # inputs that the sensor model gives by itself
RANK = 1e-5  # of the largest singular value: components below are rounding


@dataclass(frozen=True)
class Described:
    """What the networks say of the pixels of B bags: `parts` by name, `(B, width)` each in double precision.

    `embedding`: the model's own, in the leading components of what pretraining has shown; `levels` of signal and noise;
    the scale-free `evidence`; `blocks`: closed-form features of the blocks of both grids, mean and deviation, where a
    compression by blocks of 8 px shows. Of another encoder: `seen`, its embedding, and `places` if it was trained to
    say where a genome lies.
    """

    parts: Mapping[str, Tensor]


def describe(
    model: SensorModel,
    tokens: Tokens,
    steps: Sequence[float],
    *,
    free_intercept: Sequence[bool],
    encoder: AnyEncoder | None = None,
) -> Described:
    """Inputs of bags, by their tokens of both grids; `steps` between the levels of each, 0 where none. `encoder`:
    another one that is read, too.
    """
    device = tokens.mean.device
    with torch.inference_mode():
        answer = model.answer(
            tokens, torch.tensor(list(steps), device=device), torch.tensor(list(free_intercept), device=device)
        )
        evidence = answer.evidence
        of_blocks = block_features(tokens, tokens.pixels - lower_median(tokens.pixels))[0]
        blocks = [part.flatten(1, 3) for part in tokens.split(of_blocks)]
        parts = {
            "embedding": (answer.embedding - model.familiarity.mean) @ model.familiarity.whiten,
            "levels": torch.cat([evidence.base, evidence.absolute, evidence.sigma.log()], 1),
            "evidence": evidence.features,
            "blocks": torch.cat([statistic for part in blocks for statistic in (part.mean(1), part.std(1))], 1),
        }
        if encoder is not None:
            parts |= _seen(encoder, tokens.first_grid())
    return Described({name: part.double().cpu() for name, part in parts.items()})


def embed(encoder: AnyEncoder, tiles: Tensor) -> Tensor:
    """The embedding of one bag `(T, H, W)` by another encoder than the sensor model's, `(E,)`."""
    with torch.inference_mode():
        return _seen(encoder, tokenize(tiles[None], grids=1))["seen"][0].double().cpu()


def _seen(encoder: AnyEncoder, tokens: Tokens) -> dict[str, Tensor]:
    seen = encoder(tokens)
    return {"seen": seen, "places": encoder.locate(seen).place} if isinstance(encoder, NearEncoder) else {"seen": seen}


def components_of(seen: Tensor, most: int) -> Familiarity:
    """The leading components of embeddings (n, E), at most so many and no more than they have."""
    centred = seen.double() - seen.double().mean(0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    count = max(1, min(most, int((singular > RANK * singular[0]).sum())))
    found = Familiarity(seen.shape[1], count)
    found.mean.copy_(seen.double().mean(0))
    found.whiten.copy_(directions[:count].T / singular[:count].clamp(min=1e-12) * len(seen) ** 0.5)
    return found


@dataclass(frozen=True)
class Tuned:
    """The user's own head, another encoder than the sensor model's that it reads (None: none), and the components of
    that one's embedding. `kinds` of file that it learned from, see `readout.kind`.
    """

    head: FewShotHead
    encoder: AnyEncoder | None = None
    components: Familiarity | None = None
    kinds: tuple[str, ...] = ()

    def add(self, plane: PlaneFootprint, described: Described) -> PlaneFootprint:
        """`plane` with what the head says of it: in the place of a parameter of ours, or behind.

        What looks like the shots is not out of domain.
        """
        span = plane.span_dn
        inputs = self.inputs(described)
        estimates = {estimate.name: estimate for estimate in plane.parameters}
        for reading in self.head.read(inputs)[0]:
            estimates[reading.column.name] = _estimate(reading, span)
        flags = plane.flags
        if self.head.knows(inputs):
            flags = tuple(flag for flag in flags if flag != "out_of_domain")
        return replace(plane, parameters=tuple(estimates.values()), flags=flags)

    def inputs(self, described: Described) -> Tensor:
        """What the head reads, `(B, sum(groups))`."""
        return torch.cat([part_of(described.parts, name, self.components) for name in self.head.config.inputs], 1)

    def to(self, device: torch.device) -> Tuned:
        """The head stays where double precision is."""
        return replace(self, encoder=None if self.encoder is None else self.encoder.to(device))


def part_of(parts: Mapping[str, Tensor], name: str, components: Familiarity | None) -> Tensor:
    """The input `name` of pictures that are described by `parts`, `(n, width)` each."""
    if name == "components" and components is not None:
        return (parts["seen"] - components.mean.double()) @ components.whiten.double()
    return parts[name]


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
        part = OWN_NEAR_ENCODER if isinstance(tuned.encoder, NearEncoder) else OWN_ENCODER
        own[part] = tuned.encoder
        config[part] = asdict(tuned.encoder.config)
    if tuned.components is not None:
        own[OWN_COMPONENTS] = tuned.components
    store.save(
        path,
        {**dict(model.named_children()), **own},
        {
            "kind": KIND,
            "config": config,
            "calibration": model.calibration,
            "names": [column.name for column in tuned.head.config.columns],
            "kinds": list(tuned.kinds),
            **header,
        },
    )


def load(found: store.Checkpoint) -> tuple[SensorModel, Tuned | None]:
    """A sensor model and, of a tuned one, the head beside it. Raises CheckpointError where `found` is neither."""
    if found.header.get("kind") != KIND:
        return SensorModel.load(found), None
    own = {key: t for key, t in found.tensors.items() if key.split(".")[0] in OWN_PARTS}
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
    encoder: AnyEncoder | None = None
    components = None
    for part, kind, sizes in (
        (OWN_ENCODER, Encoder, EncoderConfig),
        (OWN_NEAR_ENCODER, NearEncoder, NearEncoderConfig),
    ):
        if any(key.startswith(f"{part}.") for key in own):
            encoder = parts[part] = kind(store.config(found, part, sizes))
    whiten = own.get(f"{OWN_COMPONENTS}.whiten")
    if whiten is not None and whiten.ndim == 2:
        components = Familiarity(*whiten.shape)
        parts[OWN_COMPONENTS] = components
    store.load_into(replace(found, tensors=own), parts)
    head = parts[OWN]
    assert isinstance(head, FewShotHead)
    head.check()
    kinds = found.header.get("kinds", [])
    if not (isinstance(kinds, list) and all(map(is_name, kinds))):
        raise CheckpointError(f"checkpoint {found.name} does not say what its own head was learned from")
    made = Tuned(head.eval(), None if encoder is None else encoder.eval(), components, tuple(kinds))
    _check_inputs(model, made, found.name)
    return model, made


def _check_inputs(model: SensorModel, made: Tuned, name: str) -> None:
    """Raise CheckpointError where the head reads what is not there, or in other widths."""
    there = set(MODELS_OWN)
    widths = {"embedding": model.familiarity.whiten.shape[1]}
    if made.encoder is not None:
        there.add("seen")
        widths["seen"] = made.encoder.config.embedding
        if isinstance(made.encoder, NearEncoder):
            there.add("places")
            widths["places"] = made.encoder.config.places
    if made.components is not None and made.encoder is not None:
        there.add("components")
        widths["components"] = made.components.whiten.shape[1]
    config = made.head.config
    if not set(config.inputs) <= there or any(
        widths.get(given, width) != width for given, width in zip(config.inputs, config.groups, strict=True)
    ):
        raise CheckpointError(f"checkpoint {name} does not match: its own head reads what it does not hold")
    if (
        made.components is not None
        and made.encoder is not None
        and (made.components.whiten.shape[0] != made.encoder.config.embedding)
    ):
        raise CheckpointError(f"checkpoint {name} does not match: components of another encoder")
