"""Image to footprint: which pixels are looked at, what the model says of them, in which units and with which flags."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag import engine, images
from noisediag.cop import checkpoint as store
from noisediag.cop.models import AnyEncoder, SensorAnswer, randomised
from noisediag.cop.tokens import Tokens
from noisediag.engine import torch
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint, Rendered
from noisediag.footprint.plane import (
    PlaneFootprint,
)
from noisediag.images.image import Domain, Image, Plane
from noisediag.readout import doubts, emptiness, gauge, kind, masked, saturation, sensor
from noisediag.readout import own_head as tuned
from noisediag.readout import rendered as processed
from noisediag.readout.mending import tokens_of
from noisediag.readout.sigma_map import sigma_map
from noisediag.readout.tiles import (
    Bag,
    Part,
    own_bags,
    plan,
    side_by_side,
)

DEFAULT_CHECKPOINT = "sensor"
TOGETHER_PX = 1 << 19  # of bags of one size in one forward pass: what a step costs in itself is shared


@dataclass(frozen=True)
class _Read:
    """One part of a picture: its planes, their own together, and what is to be said of it."""

    planes: tuple[PlaneFootprint, ...]
    whole: PlaneFootprint
    warnings: tuple[str, ...]
    uneven: tuple[float, float] | None
    rendered: Rendered | None


class Estimator:
    """A loaded model; `estimate` may be called for any number of images.

    Raises CheckpointError where the checkpoint is missing or does not match, UsageError for an unknown device.
    """

    def __init__(self, checkpoint: Path | None = None, device: str = "auto"):
        found = store.read(checkpoint if checkpoint is not None else store.shipped(DEFAULT_CHECKPOINT))
        self.checkpoint = CheckpointId(found.name, found.sha256)
        self.device = choose_device(device)
        self.model, own = tuned.load(found)
        self.model = self.model.to(self.device)
        self.own = None if own is None else own.to(self.device)  # the user's own head, see `noisediag finetune`

    def randomised(self, seed: int) -> Estimator:
        """The same estimator with the encoder's weights drawn anew, to see what the encoder contributes."""
        other = copy.copy(self)
        other.model = randomised(self.model, seed)
        return other

    def estimate(self, image: Image, *, gain: float | None = None) -> Footprint:
        """The footprint of `image`. `gain`: conversion gain in e-/DN where it is known.

        Raises the InputErrors of loading its pixels, and UnreadableError for a picture below 16 x 16 pixels.
        """
        if gain is not None and not gain > 0:
            raise UsageError("the conversion gain must be a positive number of e-/DN")
        if gain is not None and image.domain == "rendered":
            raise UsageError("a rendered picture has no electrons, so no conversion gain")
        with engine.one_thread():
            parts = [self._read(part, image, gain) for part in plan(image)]
        planes, whole = [p for part in parts for p in part.planes], [part.whole for part in parts]
        rendered = processed.together([part.rendered for part in parts if part.rendered is not None])
        domain = image.domain if rendered is None or not processed.as_from_a_sensor(rendered, image) else "linear"
        if image.luma_only:
            planes, rendered = [], rendered and replace(rendered, planes=rendered.planes[-1:])
        if self.own is not None:
            wanted = self.describe(image)
            whole = [self.own.add(plane, d) for plane, d in zip(whole, wanted, strict=True)]
        flags = {flag for plane in whole for flag in plane.flags}
        flags |= set() if rendered is None else rendered.flags
        if domain == "rendered":
            flags.add("rendered")
        return Footprint(
            planes=(*planes, *whole),
            domain=domain,
            reader=image.reader,
            checkpoint=self.checkpoint,
            path=image.path,
            sha256=image.sha256,
            acquisition=image.acquisition,
            cfa_plane_colors=image.cfa_plane_colors,
            flags=tuple(sorted(flags)),
            warnings=(
                *image.warnings,
                *sensor.gain_doubts(whole, gain),
                *sensor.hot_pixels_told(whole),
                *dict.fromkeys(warning for part in parts for warning in part.warnings),
                *(() if self.own is None else kind.doubts(image, self.own.kinds)),
            ),
            uneven=next((part.uneven for part in parts if part.uneven is not None), None),
            rendered=rendered,
        )

    def _read(self, part: Part, image: Image, gain: float | None) -> _Read:
        """What the model says of one part, held against the part's own pixels."""
        calibration = self.model.calibration
        factor = 1.0 if image.domain == "rendered" else gauge.gauge(part)
        part = gauge.shortened(part, factor)
        answers, tokens = self._ask(part.bags)
        if not saturation.outshone(part, answers[-1]):
            part = part.under(None)  # no ceiling: a bright and quiet surface
            answers, tokens = self._ask(part.bags)
        nothing = emptiness.of_part(part)
        warnings: list[str] = []
        black = None
        if nothing[-1] is None and image.domain != "rendered":
            black = doubts.black_check(calibration, answers, part)
        if black is not None:
            part = doubts.without_black(part)
            answers, tokens = self._ask(part.bags)
            warnings.append(doubts.black_words(black))
        own, together = sensor.read_part(self.model, part, answers, image, gain, nothing)
        rendered: Rendered | None = None
        domain = image.domain
        if nothing[-1] is not None:
            warnings.append(emptiness.words(nothing[-1], part.channel))
        elif domain == "rendered":
            reason = processed.why_unread(self.model, part)
            if reason is None:
                own, together, rendered = processed.read_part(self.model, part, own, together, image, tokens)
                domain = "linear" if processed.as_from_a_sensor(rendered, image) else domain
            else:
                warnings.append(f"what processing does to noise was not looked at: {reason}")
        elif len(own) > 1:
            together = sensor.reconcile(together, own)
        uneven = None
        if nothing[-1] is None and (rendered is None or not rendered.noise_processed):
            own, doubted = doubts.doubt_part(calibration, answers, own, together, domain)
            together, uneven = doubted.plane, doubted.uneven
            warnings += doubted.warnings
        if black is not None:
            own, together = [doubts.with_black(p, black) for p in own], doubts.with_black(together, black)
        groups = (*part.groups, tuple(plane for group in part.groups for plane in group))
        told = [
            gauge.on_stated_scale(masked.told(saturation.told(plane, part), group), factor)
            for plane, group in zip((*own, together), groups, strict=True)
        ]
        warnings += masked.doubts(told[-1], groups[-1])
        return _Read(tuple(told[:-1]), told[-1], tuple(warnings), uneven, rendered)

    def sigma_map(self, image: Image, footprint: Footprint, scale: float | None = None) -> NDArray[np.float32]:
        """See `readout.sigma_map`."""
        return sigma_map(image, footprint, scale)

    def embed(self, image: Image) -> NDArray[np.float32]:
        """The file's own noise in the encoder's embedding, `(E,)` float32; colours and CFA planes are one bag.

        Raises the errors of `estimate`.
        """
        embeddings = []
        for _, bag in own_bags(image):
            with engine.one_thread(), torch.inference_mode():
                tokens = tokens_of([bag], self.device)
                embeddings.append(self.model.embed(tokens)[0].cpu().numpy())
        mean: NDArray[np.float32] = np.mean(embeddings, axis=0)
        return mean

    def _ask(self, bags: Sequence[tuple[Sequence[Plane], Bag]]) -> tuple[list[SensorAnswer], Tokens | None]:
        """What the sensor model says of each bag, and the tokens of all where they were looked at in one go."""
        free = {id(bag): not members[0].offset_known for members, bag in bags}
        groups = side_by_side([bag for _, bag in bags], TOGETHER_PX)
        answers: list[SensorAnswer] = []
        for group in groups:
            with torch.inference_mode():
                tokens = tokens_of(group, self.device)
                answer = self.model.answer(
                    tokens,
                    torch.tensor([bag.step or 0.0 for bag in group], dtype=torch.float32, device=self.device),
                    torch.tensor([free[id(bag)] for bag in group], device=self.device),
                )
                answers += [answer.one(number) for number in range(len(group))] if len(group) > 1 else [answer]
        return answers, tokens if len(groups) == 1 else None

    def describe(self, image: Image, *, encoder: AnyEncoder | None = None) -> list[tuned.Described]:
        """What a head of the user's own reads of the file's own noise, a channel at a time.

        `encoder`: one that is read beside the model's own, instead of the own head's. Raises the errors of `estimate`.
        """
        chosen = encoder if encoder is not None else None if self.own is None else self.own.encoder
        return [self._described(bag, chosen, free_intercept=not plane.offset_known) for plane, bag in own_bags(image)]

    def _described(self, bag: Bag, encoder: AnyEncoder | None, *, free_intercept: bool) -> tuned.Described:
        tokens = tokens_of([bag], self.device)
        return tuned.describe(self.model, tokens, [bag.step or 0.0], free_intercept=[free_intercept], encoder=encoder)


def estimate(
    source: str | Path | NDArray[Any],
    *,
    black: float | None = None,
    white: float | None = None,
    domain: Domain = "linear",
    gain: float | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    linear: bool = False,
    series: str | int | None = None,
    z: int | None = None,
    dataset: str | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> Footprint:
    """The noise footprint of a file, or of an array `(H, W)` or `(frames, H, W)` in DN.

    `black`, `white`: DN of no light and of saturation, where the file does not say or says wrongly; `gain`: e-/DN;
    `domain` applies to arrays; `roi`: x, y, width, height in px; `linear`: the codes are proportional to light in
    whatever format; `series`, `z`, `dataset`: see `noisediag.images.read`. Raises the errors of `noisediag.errors`.
    """
    if isinstance(source, np.ndarray):
        if any(part is not None for part in (channel, frame, roi, series, z, dataset)):
            raise UsageError("channel, frame, roi, series, z and dataset select from a file; slice an array instead")
        if linear and domain == "rendered":
            raise UsageError("an array is either linear or rendered")
        image = images.from_array(source, black=black, white=white, domain=domain, linear=linear)
    else:
        image = images.read(
            source,
            black=black,
            white=white,
            channel=channel,
            frame=frame,
            roi=roi,
            linear=linear,
            series=series,
            z=z,
            dataset=dataset,
        )
    return Estimator(checkpoint, device).estimate(image, gain=gain)


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one. Raises UsageError for a device that is not here.

    Where numpy computes, see `noisediag.engine`, there is the processor alone.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {name!r}: auto, cpu or cuda")
    if name == "cuda" and engine.cuda_is_usable():
        engine.use("torch")
    there = engine.name() == "torch" and torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UsageError("no CUDA device is available here; use --device cpu")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
