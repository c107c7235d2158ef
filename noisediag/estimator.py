"""Image to footprint: which pixels are looked at, what the model says of them, in which units and with which flags."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag import engine
from noisediag.cop import checkpoint as store
from noisediag.cop.models import AnyEncoder, SensorAnswer, randomised
from noisediag.engine import torch
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint, Rendered
from noisediag.footprint.plane import (
    PlaneFootprint,
)
from noisediag.images.image import Image
from noisediag.readout import doubts, emptiness, gauge, kind, masked, questions, saturation, sensor
from noisediag.readout import own_head as tuned
from noisediag.readout import rendered as processed
from noisediag.readout.mending import tokens_of
from noisediag.readout.questions import OfBags, Reading
from noisediag.readout.sigma_map import sigma_map
from noisediag.readout.tiles import (
    Bag,
    Part,
    own_bags,
    plan,
)

DEFAULT_CHECKPOINT = "sensor"


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
        with engine.one_thread():
            return questions.alone(self.model, self.device, self._reading(image, gain))

    def estimate_together(self, images_: Sequence[Image], *, gain: float | None = None) -> list[Footprint | Exception]:
        """What `estimate` returns or raises for each of several images, to the last bit; small ones share passes."""
        with engine.one_thread():
            return questions.read(self.model, self.device, [self._reading(image, gain) for image in images_])

    def _reading(self, image: Image, gain: float | None) -> Reading[Footprint]:
        if gain is not None and not gain > 0:
            raise UsageError("the conversion gain must be a positive number of e-/DN")
        if gain is not None and image.domain == "rendered":
            raise UsageError("a rendered picture has no electrons, so no conversion gain")
        parts: list[_Read] = []
        for part in plan(image):
            parts += [(yield from self._read(part, image, gain))]
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

    def _read(self, part: Part, image: Image, gain: float | None) -> Reading[_Read]:
        """What the model says of one part, held against the part's own pixels."""
        calibration = self.model.calibration
        factor = 1.0 if image.domain == "rendered" else gauge.gauge(part)
        part = gauge.shortened(part, factor)
        about = yield OfBags(part.bags)
        answers: list[SensorAnswer] = about.answers
        if not saturation.outshone(part, answers[-1]):
            part = part.under(None)  # no ceiling: a bright and quiet surface
            about = yield OfBags(part.bags)
            answers = about.answers
        nothing = emptiness.of_part(part)
        warnings: list[str] = []
        black = None
        if nothing[-1] is None and image.domain != "rendered":
            black = doubts.black_check(calibration, answers, part)
        if black is not None:
            part = doubts.without_black(part)
            about = yield OfBags(part.bags)
            answers = about.answers
            warnings.append(doubts.black_words(black))
        own, together = sensor.read_part(self.model, part, answers, image, gain, nothing)
        rendered: Rendered | None = None
        domain = image.domain
        if nothing[-1] is not None:
            warnings.append(emptiness.words(nothing[-1], part.channel))
        elif domain == "rendered":
            reason = processed.why_unread(self.model, part)
            if reason is None:
                own, together, rendered = yield from processed.read_part(
                    self.model, part, own, together, image, about.tokens
                )
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

    def describe(self, image: Image, *, encoder: AnyEncoder | None = None) -> list[tuned.Described]:
        """What a head of the user's own reads of the file's own noise, a channel at a time.

        `encoder`: one that is read beside the model's own, instead of the own head's. Raises the errors of `estimate`.
        """
        chosen = encoder if encoder is not None else None if self.own is None else self.own.encoder
        return [self._described(bag, chosen, free_intercept=not plane.offset_known) for plane, bag in own_bags(image)]

    def _described(self, bag: Bag, encoder: AnyEncoder | None, *, free_intercept: bool) -> tuned.Described:
        tokens = tokens_of([bag], self.device)
        return tuned.describe(self.model, tokens, [bag.step or 0.0], free_intercept=[free_intercept], encoder=encoder)


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
