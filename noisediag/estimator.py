"""Image to footprint: which pixels are looked at, what the model says of them, in which units and with which flags."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from noisediag import images, processed
from noisediag.cop import checkpoint as store
from noisediag.cop import tuned
from noisediag.cop.calibration import alarm_shift, factors, limit_shift
from noisediag.cop.encoder import Encoder
from noisediag.cop.heads import LEARNED, UNIFORM
from noisediag.cop.models import SensorAnswer, randomised
from noisediag.cop.tokens import BLOCK, Tokens, tokenize
from noisediag.errors import UsageError
from noisediag.footprint import (
    CLIPPED_SHARE,
    COARSER,
    CURVE_POINTS,
    FEW_PIXELS,
    MAX_LOG_WIDTH,
    PRESENT,
    UNSURE_SHARE,
    WEAK_RATIO,
    CheckpointId,
    CurvePoint,
    Estimate,
    Footprint,
    PlaneFootprint,
    Rendered,
    VarianceLaw,
    in_units,
)
from noisediag.genome.parameters import PARAMETERS, Parameter
from noisediag.images.image import Domain, Image, Plane
from noisediag.jpeg import Traces, traces
from noisediag.structure import Arrangement, arrangement
from noisediag.tiles import (
    MAX_TILES,
    Bag,
    block_means,
    by_frame,
    channels,
    cut,
    fills_mosaic,
    join,
    luma_bag,
    own_bags,
    side_by_side,
    thinned,
    whole_shape,
)

DEFAULT_CHECKPOINT = "sensor"
TOGETHER_PX = 1 << 19  # of bags of one size in one forward pass: what a step costs in itself is shared
ARRANGED_TILES = 4  # that show how the noise lies
NO_MORE_THAN = 1.5  # times the curve: no single noise is stronger than all of it
GAIN_DOUBT = 1.5  # times the variance: shot noise that a given gain implies and the picture does not have
JOINT_WIDENING = 1.6  # of a plane's interval; four equal planes then differ by chance in less than 1 % of the files


@dataclass(frozen=True)
class Level:
    """The noise at the median signal. `hidden`: below half a step, where it does not reach the levels."""

    signal: float
    sigma: float
    span: float  # of the signal
    hidden: bool


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
        planes: list[PlaneFootprint] = []
        whole: list[PlaneFootprint] = []
        rendered: Rendered | None = None
        unread: list[str] = []
        align = BLOCK if image.domain == "rendered" else 1  # JPEG's blocks stay whole
        for channel, names in channels(image).items():
            bags = []
            # Planes that belong together are looked at where `all` looks: a part of the tiles each, not all of them.
            most = MAX_TILES if image.domain == "linear" else MAX_TILES // len(names)
            for members in names:
                bag = thinned(cut([(p, p.load()) for p in members], MAX_TILES, align=align), max(1, most))
                bags.append((members, bag))
            if len(bags) > 1:
                bags.append(_together(image, names, bags))
            answers, tokens = self._look(bags)
            described = [
                self._describe(members, bag, answer, image, gain, whole=number == len(names) or len(names) == 1)
                for number, ((members, bag), answer) in enumerate(zip(bags, answers, strict=True))
            ]
            own, together = described[: len(names)], replace(described[-1], name="all", frame=None)
            if image.domain == "rendered":
                if len(by_frame(names)[0]) > 1:
                    together = replace(together, name="luma")
                why = self._why_unread(by_frame(names)[0], bags[0][1].tiles)
                if why is None:
                    own, together, rendered = self._rendered(own, together, names, bags, image, tokens)
                else:
                    unread = [f"what processing does to noise was not looked at: {why}"]
            elif len(names) > 1:
                shape = whole_shape([p for members in names for p in members])
                together = _reconcile(replace(together, shape=shape), own)
            planes += own
            whole.append(replace(together, channel=channel))
        if self.own is not None:
            wanted = self.describe(image)
            whole = [self.own.add(plane, d.inputs) for plane, d in zip(whole, wanted, strict=True)]
        flags = {flag for plane in whole for flag in plane.flags}
        if image.domain == "rendered":
            flags |= {"rendered"} | (set() if rendered is None else rendered.flags)
        return Footprint(
            planes=(*planes, *whole),
            domain=image.domain,
            reader=image.reader,
            checkpoint=self.checkpoint,
            path=image.path,
            sha256=image.sha256,
            acquisition=image.acquisition,
            cfa_plane_colors=image.cfa_plane_colors,
            flags=tuple(sorted(flags)),
            warnings=(*image.warnings, *_doubts(whole, gain), *unread),
            rendered=rendered,
        )

    def sigma_map(self, image: Image, footprint: Footprint) -> np.ndarray:
        """Standard deviation of the pixel noise at each pixel, DN, float32.

        `(H, W)`, or `(planes, H, W)` for several channels or frames.

        The clean signal is taken as the mean of 5 x 5 pixels of the same plane. Frames of a stack that were not sampled
        have the law of `all`; a part of the planes of a RAW file has maps of its own.
        """
        by_name = {(p.name, p.channel, p.frame): p for p in footprint.planes}
        own = {p.channel: p for p in footprint.planes if p.name in ("all", "luma")}
        maps: list[np.ndarray] = []
        mosaic: np.ndarray | None = None
        mosaicked = fills_mosaic(image.planes)
        for plane in image.planes:
            law = by_name.get(
                (plane.name, plane.channel, plane.frame), own.get(plane.channel, footprint.planes[-1])
            ).law
            span = plane.white_dn - plane.black_dn
            values = torch.from_numpy(((plane.load().astype(np.float32) - plane.black_dn) / span).astype(np.float32))[
                None, None
            ]
            smooth = torch.nn.functional.avg_pool2d(values, 5, 1, 2, count_include_pad=False)[0, 0].numpy()
            sigma = (law.sigma(smooth) * span).astype(np.float32)
            if not mosaicked:
                maps.append(sigma)
                continue
            at = plane.lattice
            assert at is not None
            if mosaic is None:
                mosaic = np.full(whole_shape(image.planes), np.nan, np.float32)
            mosaic[at.row :: at.row_step, at.column :: at.column_step][: sigma.shape[0], : sigma.shape[1]] = sigma
        if mosaic is not None:
            return mosaic
        return maps[0] if len(maps) == 1 else np.stack(maps)

    def embed(self, image: Image) -> np.ndarray:
        """The file's own noise in the encoder's embedding, `(E,)` float32; colours and CFA planes are one bag.

        Raises the errors of `estimate`.
        """
        embeddings = []
        for _, bag in own_bags(image):
            with torch.inference_mode():
                tokens = tokenize(torch.from_numpy(bag.tiles)[None].to(self.device))
                embeddings.append(self.model.embed(tokens)[0].cpu().numpy())
        return np.mean(embeddings, axis=0)

    def _look(self, bags: Sequence[tuple[Sequence[Plane], Bag]]) -> tuple[list[SensorAnswer], Tokens | None]:
        """What the sensor model says of each bag, and the tokens of all where they were looked at in one go."""
        free = {id(bag): not members[0].offset_known for members, bag in bags}
        groups = side_by_side([bag for _, bag in bags], TOGETHER_PX)
        answers: list[SensorAnswer] = []
        for group in groups:
            with torch.inference_mode():
                tokens = tokenize(torch.from_numpy(np.stack([bag.tiles for bag in group])).to(self.device))
                answer = self.model.answer(
                    tokens,
                    torch.tensor([bag.step or 0.0 for bag in group], dtype=torch.float32, device=self.device),
                    torch.tensor([free[id(bag)] for bag in group], device=self.device),
                )
                answers += [answer.one(number) for number in range(len(group))] if len(group) > 1 else [answer]
        return answers, tokens if len(groups) == 1 else None

    def _rendered(
        self,
        planes: list[PlaneFootprint],
        whole: PlaneFootprint,
        names: Sequence[Sequence[Plane]],
        bags: Sequence[tuple[Sequence[Plane], Bag]],
        image: Image,
        tokens: Tokens | None,
    ) -> tuple[list[PlaneFootprint], PlaneFootprint, Rendered]:
        """The planes of a rendered picture, its luma (or its only plane), and what processing has left in it.

        Where the noise is as a sensor gives it, in eight bits, the sensor model's answer stands. `bags`: those of
        `names`, and of luma if it has one of its own; `tokens` of all of them, if these are at hand.
        """
        frames = by_frame(names)
        colours = len(frames[0])
        of_names = bags[: len(names)]
        tiles = [join([bag for members, bag in of_names if members[0].name == p.name]).tiles for p in frames[0]]
        # Tokens of several frames are those of other bags than the frames' together.
        reading = processed.read(self.model, tiles, self.device, tokens if len(frames) == 1 else None)
        seen = {p.name: plane for p, plane in zip(frames[0], reading.planes, strict=False)}  # luma is the fourth
        if reading.processed:
            planes = [
                processed.replaced(plane, seen[plane.name], block_means(bag.tiles))
                for plane, (_, bag) in zip(planes, of_names, strict=True)
            ]
            whole = processed.replaced(whole, reading.planes[-1], block_means(bags[-1][1].tiles))
        first = [plane for plane in planes if plane.frame == planes[0].frame] if colours > 1 else []
        return planes, whole, processed.summary([*first, whole], reading, _traces(frames[0], image))

    def _why_unread(self, members: Sequence[Plane], tiles: np.ndarray) -> str | None:
        """Why processing is not looked at in a rendered picture; None where it is."""
        if self.model.rendered is None:
            return "the checkpoint has no part for it"
        if not processed.large_enough(tiles):
            return "the picture is too small"
        if any(p.scale_source == "override" for p in members):
            return "black and white are not the file's own"
        return None if len(members) in (1, 3) else f"it has {len(members)} channels"

    def describe(self, image: Image, *, encoder: Encoder | None = None) -> list[tuned.Described]:
        """What a head of the user's own reads of the file's own noise, a channel at a time.

        `encoder`: one that is being tuned, instead of the own head's. Raises the errors of `estimate`.
        """
        chosen = encoder if encoder is not None else None if self.own is None else self.own.encoder
        return [
            tuned.describe(
                self.model,
                torch.from_numpy(bag.tiles).to(self.device),
                bag.step or 0.0,
                free_intercept=not plane.offset_known,
                encoder=chosen,
            )
            for plane, bag in own_bags(image)
        ]

    def _describe(
        self,
        members: Sequence[Plane],
        bag: Bag,
        answer: SensorAnswer,
        image: Image,
        gain: float | None,
        *,
        whole: bool = False,
    ) -> PlaneFootprint:
        """`whole`: the file's own plane, whose arrangement is looked at."""
        plane = members[0]
        span = plane.white_dn - plane.black_dn
        same_scale = all(p.white_dn - p.black_dn == span for p in members)
        free = not plane.offset_known
        shot = None if gain is None else 1 / (gain * span)
        law = _law(answer)
        raw = image.domain == "raw-linear"
        estimates = self._parameters(answer, bag, law, shot, span if same_scale else None, free=free, raw=raw)
        means = answer.block_mean[0].cpu().numpy().astype(np.float64)
        flags = _plane_flags(answer, plane, bag, float(self.model.familiarity.threshold))
        return PlaneFootprint(
            name=plane.name,
            channel=plane.channel,
            frame=plane.frame,
            shape=plane.shape,
            bit_depth=plane.bit_depth,
            black_dn=plane.black_dn if same_scale else None,
            white_dn=plane.white_dn if same_scale else None,
            scale_source=plane.scale_source,
            curve=self._curve(answer, law, means, raw=raw, found=_found(estimates)),
            law=law,
            parameters=estimates,
            signal_median=float(np.median(means)),
            effective_sigma=float(np.sqrt(np.mean(np.square(law.sigma(means))))),
            white_known=plane.white_known,
            offset_known=plane.offset_known,
            flags=flags,
            arrangement=_arrangement(bag) if whole else None,
        )

    def _curve(
        self, answer: SensorAnswer, law: VarianceLaw, means: np.ndarray, *, raw: bool, found: bool
    ) -> tuple[CurvePoint, ...]:
        """The noise curve over the picture's signals; where no pixel noise was `found`, it may also be 0."""
        low_factor, high_factor = factors(self.model.calibration, "curve", answer, raw=raw)
        quantiles = answer.reading.curve[0].cpu().numpy().astype(np.float64)  # (signals, levels)
        at = answer.evidence.signal[0].cpu().numpy().astype(np.float64)
        first, last = np.quantile(means, (0.005, 0.995))
        signals = np.linspace(first, last, CURVE_POINTS)
        sigmas = law.sigma(signals)
        below, middle, above = (np.interp(signals, at, quantiles[:, i]) for i in range(3))
        low = np.clip(middle - low_factor * (middle - below), -MAX_LOG_WIDTH, 0.0)
        high = np.clip(middle + high_factor * (above - middle), 0.0, MAX_LOG_WIDTH)
        lows = sigmas * np.exp(low) if found else np.zeros_like(sigmas)
        columns = (signals, sigmas, lows, sigmas * np.exp(high))
        return tuple(CurvePoint(*point) for point in zip(*(column.tolist() for column in columns), strict=True))

    def _parameters(
        self,
        answer: SensorAnswer,
        bag: Bag,
        law: VarianceLaw,
        shot: float | None,
        span: float | None,
        *,
        free: bool,
        raw: bool,
    ) -> tuple[Estimate, ...]:
        quantiles = answer.reading.quantiles[0].double().cpu().numpy()
        limits = answer.reading.limit[0].double().cpu().numpy()
        shifts = torch.tensor([alarm_shift(self.model.calibration, name) for name in LEARNED], dtype=torch.float64)
        present = (answer.reading.present[0].double().cpu() - shifts).sigmoid().numpy()
        darkest, signal, brightest = (float(x) for x in answer.evidence.signal[0])
        level = Level(
            signal,
            law.sigma(signal),
            brightest - darkest,
            hidden=bag.step is not None and law.sigma(signal) < bag.step / 2,
        )
        most = _upper_bounds(answer, law)
        result = []
        for declared in PARAMETERS:
            name = declared.name
            if name == "quantisation":
                result.append(in_units(_quantisation(bag), span))
                continue
            i = LEARNED.index(name)
            low_factor, high_factor = factors(self.model.calibration, name, answer, raw=raw)
            low, middle, high = quantiles[i]
            low, high = middle - low_factor * (middle - low), middle + high_factor * (high - middle)
            drowned = level.hidden and name in ("shot_gain", "read_noise")
            if name == "shot_gain" and shot is not None:
                estimate = Estimate(name, shot, shot, shot, 1.0)
            elif free and (name == "read_noise" or (name == "shot_gain" and level.span < level.sigma)):
                # without black only a range of signal shows the gain, and nothing shows the read noise
                estimate = Estimate(name, None, None, None, None, "weakly_identified")
            elif present[i] >= PRESENT and not drowned:
                estimate = _measured(declared, (low, middle, high), float(present[i]))
            else:
                limit = max(limits[i], quantiles[i][0]) + limit_shift(self.model.calibration, name, answer, raw=raw)
                estimate = _unseen(declared, limit, float(present[i]), level)
            if estimate.high is not None and name in most:
                estimate = replace(estimate, high=max(min(estimate.high, most[name]), estimate.value or 0.0))
            result.append(in_units(estimate, span))
        return tuple(result)


def estimate(
    source: str | Path | np.ndarray,
    *,
    black: float | None = None,
    white: float | None = None,
    domain: Domain = "linear",
    gain: float | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> Footprint:
    """The noise footprint of a file, or of an array `(H, W)` or `(frames, H, W)` in DN.

    `black`, `white`: DN of no light and of saturation, where the file does not say or says wrongly; `gain`: e-/DN;
    `domain` applies to arrays; `roi`: x, y, width, height in px. Raises the errors of `noisediag.errors`.
    """
    if isinstance(source, np.ndarray):
        if channel is not None or frame is not None or roi is not None:
            raise UsageError("channel, frame and roi select from a file; slice an array instead")
        image = images.from_array(source, black=black, white=white, domain=domain)
    else:
        image = images.read(source, black=black, white=white, channel=channel, frame=frame, roi=roi)
    return Estimator(checkpoint, device).estimate(image, gain=gain)


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one. Raises UsageError for a device this machine does not have."""
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {name!r}: auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available here; use --device cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def _together(
    image: Image, names: Sequence[Sequence[Plane]], bags: Sequence[tuple[Sequence[Plane], Bag]]
) -> tuple[list[Plane], Bag]:
    """The file's own bag, of several: the luma of all frames of a rendered picture, else the tiles of all planes."""
    if image.domain == "rendered":
        frames = by_frame(names)
        return [members[0] for members in frames], join([luma_bag(members) for members in frames])
    return [p for members in names for p in members], join([bag for _, bag in bags])


def _traces(members: Sequence[Plane], image: Image) -> Traces | None:
    """What JPEG has left in the first frame; None where its codes are not those of 8 bits."""
    codes = [plane.load() for plane in members]
    if any(plane.dtype != np.uint8 for plane in codes):
        return None
    return traces(codes[0] if len(codes) == 1 else np.stack(codes, -1), image.jpeg)


def _arrangement(bag: Bag) -> Arrangement:
    """Of a few tiles, evenly spread: more say little that these do not."""
    index = np.unique(np.linspace(0, len(bag.tiles) - 1, ARRANGED_TILES).round().astype(int))
    return arrangement(bag.tiles[index])


def _law(answer: SensorAnswer) -> VarianceLaw:
    law = answer.curve.law[0].double().cpu()
    return VarianceLaw(float(law[0]), float(law[1]), float(law[2]), float(answer.curve.floor[0]))


def _quantisation(bag: Bag) -> Estimate:
    if bag.step is None:
        return Estimate("quantisation", None, None, None, 0.0, "below_floor")
    coarser = bag.container is None or bag.step > COARSER * bag.container
    half = 1e-3 * bag.step  # the lattice is fitted to better than this
    return Estimate("quantisation", bag.step, bag.step - half, bag.step + half, 1.0 if coarser else 0.0)


def _found(estimates: Sequence[Estimate]) -> bool:
    """Whether the picture shows pixel noise at all, whatever its kind."""
    return any(
        estimate.flag != "below_floor"
        for estimate in estimates
        if estimate.name in ("shot_gain", "read_noise", "multiplicative")
    )


def _upper_bounds(answer: SensorAnswer, law: VarianceLaw) -> dict[str, float]:
    """What shot, read and multiplicative noise cannot exceed, because the whole noise is smaller."""
    signals = answer.evidence.signal[0].double().cpu().numpy()
    sigmas = NO_MORE_THAN * law.sigma(signals)
    lit = signals > 0
    bounds = {"read_noise": float(sigmas.min())}
    if lit.any():
        bounds["shot_gain"] = float((sigmas[lit] ** 2 / signals[lit]).min())
        bounds["multiplicative"] = float((sigmas[lit] / signals[lit]).min())
    return bounds


def _doubts(planes: Sequence[PlaneFootprint], gain: float | None) -> list[str]:
    """A warning where a given gain implies more shot noise than there is noise."""
    if gain is None:
        return []
    doubts = []
    for plane in planes:
        implied = (plane["shot_gain"].value or 0.0) * plane.signal_median
        if implied > GAIN_DOUBT * plane.law.sigma(plane.signal_median) ** 2:
            doubts.append(f"a gain of {gain:g} e-/DN implies more shot noise than the picture has noise")
    return doubts


def _native(declared: Parameter, value: float) -> float:
    """From the head's scale: logarithms but for a few."""
    return max(float(value), declared.low) if declared.name in UNIFORM else float(np.exp(value))


def _measured(declared: Parameter, quantiles: tuple[float, float, float], present: float) -> Estimate:
    low, middle, high = (_native(declared, q) for q in quantiles)
    flag: str | None = None
    if declared.name not in UNIFORM and high > WEAK_RATIO * low:
        flag = "weakly_identified"
    elif not declared.low <= middle <= declared.high:
        flag = "out_of_range"
    return Estimate(declared.name, middle, low, high, present, flag)


def _unseen(declared: Parameter, limit: float, present: float, level: Level) -> Estimate:
    """Null with an upper bound.

    Nothing says that it is absent if it may still be a good part of the noise: shot and read noise stand in for each
    other where the picture has no range of signal. Such a one is weakly identified, the others are below the floor.
    """
    bound = level.sigma if level.hidden and declared.name == "read_noise" else _native(declared, limit)
    term = {"shot_gain": bound * level.signal, "read_noise": bound**2}.get(declared.name, 0.0)
    unsure = not level.hidden and term > UNSURE_SHARE * level.sigma**2
    flag = "weakly_identified" if unsure else "below_floor"
    return Estimate(declared.name, None, 0.0, bound, present, flag)


def _plane_flags(answer: SensorAnswer, plane: Plane, bag: Bag, threshold: float) -> tuple[str, ...]:
    flags = []
    if plane.scale_source == "assumed" or not plane.offset_known:
        flags.append("assumed_scale")
    lowest = -plane.black_dn / (plane.white_dn - plane.black_dn)  # the code 0
    if max((bag.tiles <= lowest).mean(), (bag.tiles >= 1).mean()) > CLIPPED_SHARE:
        flags.append("clipped")
    if bag.tiles.size < FEW_PIXELS:
        flags.append("few_pixels")
    if float(answer.distance[0]) > threshold:
        flags.append("out_of_domain")
    return tuple(flags)


def _reconcile(whole: PlaneFootprint, planes: Sequence[PlaneFootprint]) -> PlaneFootprint:
    """Where the planes' own intervals are disjoint, no one value describes the file: null with `planes_differ`."""
    parameters = []
    for estimate in whole.parameters:
        bounds = [
            (own.value, own.low, own.high)
            for own in (plane[estimate.name] for plane in planes)
            if own.value is not None and own.low is not None and own.high is not None
        ]
        # Several intervals are compared at once: widened, so that equal planes rarely differ by chance alone.
        lows = [value - JOINT_WIDENING * (value - low) for value, low, _ in bounds]
        highs = [value + JOINT_WIDENING * (high - value) for value, _, high in bounds]
        if estimate.value is not None and bounds and max(lows) > min(highs):
            estimate = replace(
                estimate,
                value=None,
                low=min(low for _, low, _ in bounds),
                high=max(high for _, _, high in bounds),
                value_dn=None,
                low_dn=None,
                high_dn=None,
                flag="planes_differ",
            )
        parameters.append(estimate)
    differ = any(estimate.flag == "planes_differ" for estimate in parameters)
    flags = {*whole.flags, "planes_differ"} if differ else whole.flags
    return replace(whole, parameters=tuple(parameters), flags=tuple(sorted(flags)))
