"""The trained models as one object each: what is loaded from a checkpoint, and what it answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from noisediag.cop import checkpoint as store
from noisediag.cop.curve import CurveConfig, CurveNet, CurvePass
from noisediag.cop.doubt_head import DoubtConfig, DoubtHead, DoubtReading
from noisediag.cop.doubts import Doubts, gather_doubts
from noisediag.cop.encoder import Encoder, EncoderConfig
from noisediag.cop.heads import Evidence, PaperHead, SensorHead, SensorHeadConfig, SensorReading, gather_evidence
from noisediag.cop.layers import one_of
from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.cop.rendered import RenderedConfig, RenderedNet
from noisediag.cop.rendered_interval import IntervalConfig, RenderedInterval
from noisediag.cop.tokens import Tokens, tokenize
from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError
from noisediag.genome import strengths

FAMILIAR_DIMENSIONS = 24  # principal components of the 128 of an embedding

ENCODER, NEAR_ENCODER = "encoder", "near_encoder"  # the parts of a file that holds an encoder alone

AnyEncoder = Encoder | NearEncoder
AnyEncoderConfig = EncoderConfig | NearEncoderConfig
Model = TypeVar("Model", "SensorModel", "PaperModel")


class Familiarity(nn.Module):
    """Distance of an embedding from those seen in training: Mahalanobis, in their leading principal components."""

    mean: Tensor
    whiten: Tensor
    threshold: Tensor

    def __init__(self, embedding: int, dimensions: int = FAMILIAR_DIMENSIONS):
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding))
        self.register_buffer("whiten", torch.zeros(embedding, dimensions))
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Root mean square of the whitened components, `(B,)`; about 1 for familiar ones."""
        return ((embeddings - self.mean) @ self.whiten).square().mean(1).sqrt()


@dataclass(frozen=True)
class SensorAnswer:
    """Everything the sensor model says about B bags."""

    curve: CurvePass
    evidence: Evidence
    reading: SensorReading
    embedding: Tensor  # (B, E)
    distance: Tensor  # (B,) from what training has shown, see `Familiarity`
    block_mean: Tensor  # (B, N)
    doubts: Doubts
    doubted: DoubtReading | None  # None: the model has no head that doubts yet

    def one(self, bag: int) -> SensorAnswer:
        """The answer for one of the bags, B = 1."""
        return one_of(self, bag)


class SensorModel(nn.Module):
    """Encoder, curve and head of the genome `sensor`, what doubts them, and what reads rendered pictures.

    The model of `estimate`.
    """

    KIND = "sensor"

    def __init__(
        self,
        encoder: AnyEncoderConfig,
        curve: CurveConfig,
        head: SensorHeadConfig,
        calibration: Mapping[str, Any],
        rendered: RenderedConfig | None = None,
        doubts: DoubtConfig | None = None,
        rendered_interval: IntervalConfig | None = None,
    ):
        super().__init__()
        self.encoder, self.curve, self.head = make_encoder(encoder), CurveNet(curve), SensorHead(head)
        self.familiarity = Familiarity(encoder.embedding)
        self.calibration = calibration  # conformal factors, see cop.calibration
        self.rendered = None if rendered is None else RenderedNet(rendered)  # None: not trained yet
        self.doubts = None if doubts is None else DoubtHead(doubts)
        # None: one pair of factors stretches all intervals of rendered pictures
        self.rendered_interval = None if rendered_interval is None else RenderedInterval(rendered_interval)

    def forward(self, bags: Tensor, step: Tensor, free_intercept: Tensor) -> SensorAnswer:
        """`bags` (B, T, H, W) normalised; `step` (B,) normalised distance of levels, 0 where none.

        `free_intercept` (B,) bool.
        """
        return self.answer(tokenize(bags), step, free_intercept)

    def answer(self, tokens: Tokens, step: Tensor, free_intercept: Tensor) -> SensorAnswer:
        """The same of bags whose tokens, both grids, are there already."""
        curve = self.curve(tokens, step, free_intercept)[-1]
        evidence = gather_evidence(tokens, curve, step, free_intercept)
        embedding = self.embed(tokens)
        doubts = gather_doubts(tokens, curve, step)
        return SensorAnswer(
            curve=curve,
            evidence=evidence,
            reading=self.head(evidence, embedding),
            embedding=embedding,
            distance=self.familiarity(embedding),
            block_mean=tokens.mean,
            doubts=doubts,
            doubted=None if self.doubts is None else self.doubts(doubts.features, evidence.features, embedding),
        )

    def embed(self, tokens: Tokens) -> Tensor:
        """Embedding `(B, E)`; one grid of blocks says as much as both, in half the time."""
        embedding: Tensor = self.encoder(tokens.first_grid())
        return embedding

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of every part, as a checkpoint's header holds it."""
        return {
            _part_of(self.encoder): asdict(self.encoder.config),
            "curve": asdict(self.curve.config),
            "head": asdict(self.head.config),
            "rendered": None if self.rendered is None else asdict(self.rendered.config),
            "doubts": None if self.doubts is None else asdict(self.doubts.config),
            **({} if self.rendered_interval is None else {"rendered_interval": asdict(self.rendered_interval.config)}),
        }

    def save(self, path: Path, header: Mapping[str, Any]) -> None:
        header = {"kind": self.KIND, "config": self.config, "calibration": self.calibration, **header}
        store.save(path, _parts(self), header)

    @classmethod
    def load(cls, file: store.Checkpoint) -> SensorModel:
        """Raises CheckpointError where `file` is not a sensor model of this version."""
        _expect(file, cls.KIND)
        model = cls(
            _encoder_config(file),
            store.config(file, "curve", CurveConfig),
            store.config(file, "head", SensorHeadConfig),
            store.calibration(file),
            None if _absent(file, "rendered") else store.config(file, "rendered", RenderedConfig),
            None if _absent(file, "doubts") else store.config(file, "doubts", DoubtConfig),
            None if _unknown(file, "rendered_interval") else store.config(file, "rendered_interval", IntervalConfig),
        )
        store.load_into(file, _parts(model))
        return model.eval()


class PaperModel(nn.Module):
    """Encoder and head of the genome `paper`."""

    KIND = "paper"

    def __init__(self, encoder: EncoderConfig):
        super().__init__()
        self.encoder = Encoder(encoder)
        self.head = PaperHead(encoder.embedding, len(strengths.NAMES))

    def forward(self, bags: Tensor) -> Tensor:
        """Strengths `(B, 6)` of bags `(B, T, H, W)`."""
        strengths: Tensor = self.head(self.encoder(tokenize(bags)))
        return strengths

    def save(self, path: Path, header: Mapping[str, Any]) -> None:
        store.save(
            path,
            _parts(self),
            {
                "kind": self.KIND,
                "config": {"encoder": asdict(self.encoder.config)},
                "names": list(strengths.NAMES),
                **header,
            },
        )

    @classmethod
    def load(cls, file: store.Checkpoint) -> PaperModel:
        """Raises CheckpointError where `file` is not a paper model of this version."""
        _expect(file, cls.KIND)
        if tuple(file.header.get("names", ())) != strengths.NAMES:
            raise CheckpointError(f"checkpoint {file.name} was trained on other outputs than this version's")
        model = cls(store.config(file, "encoder", EncoderConfig))
        store.load_into(file, _parts(model))
        return model.eval()


def save_encoder(path: Path, encoder: AnyEncoder, header: Mapping[str, Any]) -> None:
    """Write the label-free encoder; `header` holds its recipe."""
    part = _part_of(encoder)
    store.save(path, {part: encoder}, {"kind": "encoder", "config": {part: asdict(encoder.config)}, **header})


def load_encoder(file: store.Checkpoint) -> Encoder:
    """The encoder of the sensor model's kind. Raises CheckpointError where `file` is none of this version."""
    _expect(file, "encoder")
    encoder = Encoder(store.config(file, ENCODER, EncoderConfig))
    if encoder.config.near:
        raise CheckpointError(f"checkpoint {file.name} is an encoder of near genomes of noisediag 0.1: train it anew")
    store.load_into(file, {ENCODER: encoder})
    return encoder.eval()


def load_any_encoder(file: store.Checkpoint) -> AnyEncoder:
    """An encoder of either kind. Raises CheckpointError where `file` is none of this version."""
    _expect(file, "encoder")
    config = _encoder_config(file)
    if isinstance(config, EncoderConfig):
        return load_encoder(file)
    encoder = NearEncoder(config)
    store.load_into(file, {NEAR_ENCODER: encoder})
    return encoder.eval()


def make_encoder(config: AnyEncoderConfig) -> AnyEncoder:
    """An encoder of the kind whose configuration this is."""
    return NearEncoder(config) if isinstance(config, NearEncoderConfig) else Encoder(config)


def _part_of(encoder: AnyEncoder) -> str:
    return NEAR_ENCODER if isinstance(encoder, NearEncoder) else ENCODER


def _encoder_config(file: store.Checkpoint) -> AnyEncoderConfig:
    config = file.header.get("config")
    if isinstance(config, dict) and NEAR_ENCODER in config:
        near: NearEncoderConfig = store.config(file, NEAR_ENCODER, NearEncoderConfig)
        return near
    plain: EncoderConfig = store.config(file, ENCODER, EncoderConfig)
    return plain


def randomised(model: Model, seed: int) -> Model:
    """A copy whose encoder is drawn anew: what is left of the accuracy is not the encoder's."""
    other = copy.deepcopy(model)
    generator = np.random.default_rng(seed)
    drawn = {}
    weights = other.encoder.state_dict()
    for name, values in weights.items():
        inputs = weights[f"{name.rpartition('.')[0]}.weight"].shape[1]  # as torch draws the weights of a linear layer
        numbers = generator.uniform(-1, 1, tuple(values.shape)) / inputs**0.5
        drawn[name] = torch.from_numpy(numbers.astype(np.float32))
    other.encoder.load_state_dict(drawn)
    return other.eval()


def _absent(file: store.Checkpoint, name: str) -> bool:
    """Whether the checkpoint says that it has no such part."""
    found = file.header.get("config")
    return isinstance(found, dict) and found.get(name, ...) is None


def _unknown(file: store.Checkpoint, name: str) -> bool:
    """Whether the checkpoint has no such part and, written before there was one, does not even say so."""
    found = file.header.get("config")
    return isinstance(found, dict) and found.get(name) is None


def _parts(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_children())


def _expect(file: store.Checkpoint, kind: str) -> None:
    if file.header.get("kind") != kind:
        raise CheckpointError(f"checkpoint {file.name} is of kind {file.header.get('kind')!r}; this needs {kind!r}")
