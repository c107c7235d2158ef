"""Questions to the networks, as they come up while pictures are read; those of several pictures are answered together.

A reading is a generator: it yields its questions, is sent the answers, and returns what it has read. What a pass of a
network costs in itself is then shared. What is said of one picture does not depend on those beside it, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from noisediag.cop.models import SensorAnswer, SensorModel
from noisediag.cop.rendered import RenderedReading
from noisediag.cop.tokens import Tokens
from noisediag.engine import Tensor, torch
from noisediag.images.image import Plane
from noisediag.readout.mending import tokens_of
from noisediag.readout.tiles import Bag, side_by_side

TOGETHER_PX = 1 << 19  # of tiles of one size in one pass: what a step costs in itself is shared


@dataclass(frozen=True)
class OfBags:
    """What does the sensor model say of the planes' bags? The answer is `AboutBags`."""

    bags: Sequence[tuple[Sequence[Plane], Bag]]

    @property
    def kind(self) -> object:
        """Questions of one kind may share a pass."""
        return {bag.tiles.shape for _, bag in self.bags}

    @property
    def pixels(self) -> int:
        return sum(bag.tiles.size for _, bag in self.bags)


@dataclass(frozen=True)
class AboutBags:
    """The answer for each bag, and the tokens of all where they were looked at in one go."""

    answers: list[SensorAnswer]
    tokens: Tokens | None


@dataclass(frozen=True)
class OfColours:
    """What has processing made of the noise in `tiles` (1, T, 3, h, w)? The answer is a RenderedReading."""

    tiles: Tensor
    tokens: Tokens | None  # see `cop.rendered_tokens.tokens_of`

    @property
    def kind(self) -> object:
        tiles = self.tiles
        gray = bool((tiles[:, :, 0] == tiles[:, :, 1]).all() and (tiles[:, :, 1] == tiles[:, :, 2]).all())
        return tuple(tiles.shape), gray, None if self.tokens is None else len(self.tokens.mean)

    @property
    def pixels(self) -> int:
        return self.tiles.numel()


Question: TypeAlias = OfBags | OfColours
T = TypeVar("T")
Reading: TypeAlias = Generator[Question, Any, T]


def read(model: SensorModel, device: torch.device, readings: Sequence[Reading[T]]) -> list[T | Exception]:
    """What each of the `readings` returns, or raises."""
    done: dict[int, T | Exception] = {}
    replies: dict[int, Any] = dict.fromkeys(range(len(readings)))
    while replies:
        questions: dict[int, Question] = {}
        for number, reply in replies.items():
            asked = _continued(readings[number], reply)
            if isinstance(asked, OfBags | OfColours):
                questions[number] = asked
            else:
                done[number] = asked.result
        replies = {}
        for group in _groups(questions):
            replies |= zip(group, _replies(model, device, [questions[number] for number in group]), strict=True)
    return [done[number] for number in range(len(readings))]


@dataclass(frozen=True)
class _Done(Generic[T]):
    result: T | Exception


def _continued(reading: Reading[T], reply: Any) -> Question | _Done[T]:
    """Its next question, or what has become of it."""
    try:
        return reading.throw(reply) if isinstance(reply, Exception) else reading.send(reply)
    except StopIteration as end:
        return _Done(end.value)
    except Exception as error:  # whose it is decides what to make of it
        return _Done(error)


def alone(model: SensorModel, device: torch.device, reading: Reading[T]) -> T:
    """What one reading returns. Raises what it raises."""
    (result,) = read(model, device, [reading])
    if isinstance(result, Exception):
        raise result
    return result


def _groups(questions: dict[int, Question]) -> list[list[int]]:
    """The numbers of those that share a pass: alike, and of TOGETHER_PX at the most, or one of any size."""
    kinds: list[tuple[object, list[list[int]]]] = []
    for number, question in questions.items():
        kind = (type(question), question.kind)
        groups: list[list[int]] | None = next((groups for known, groups in kinds if known == kind), None)
        if groups is None:
            groups = [[]]
            kinds.append((kind, groups))
        if groups[-1] and question.pixels * (len(groups[-1]) + 1) > TOGETHER_PX:
            groups.append([])
        groups[-1].append(number)
    return [group for _, alike in kinds for group in alike]


def _replies(model: SensorModel, device: torch.device, questions: Sequence[Question]) -> list[Any]:
    """An answer each, or the exception that came instead; what goes wrong together is tried one by one."""
    answer: Callable[..., list[Any]] = about_bags if isinstance(questions[0], OfBags) else about_colours
    try:
        return answer(model, device, questions)
    except Exception as error:
        if len(questions) == 1:
            return [error]
    return [reply for question in questions for reply in _replies(model, device, [question])]


def about_bags(model: SensorModel, device: torch.device, questions: Sequence[OfBags]) -> list[AboutBags]:
    """The answers to several questions."""
    asked = [entry for question in questions for entry in question.bags]
    free = {id(bag): not members[0].offset_known for members, bag in asked}
    groups = side_by_side([bag for _, bag in asked], TOGETHER_PX)
    answers: list[SensorAnswer] = []
    for group in groups:
        with torch.inference_mode():
            tokens = tokens_of(group, device)
            answer = model.answer(
                tokens,
                torch.tensor([bag.step or 0.0 for bag in group], dtype=torch.float32, device=device),
                torch.tensor([free[id(bag)] for bag in group], device=device),
            )
            answers += [answer.one(number) for number in range(len(group))] if len(group) > 1 else [answer]
    made, first = [], 0
    for question in questions:
        part = slice(first, first + len(question.bags))
        own = (tokens if len(questions) == 1 else tokens.select(part)) if len(groups) == 1 else None
        made.append(AboutBags(answers[part], own))
        first = part.stop
    return made


def about_colours(model: SensorModel, device: torch.device, questions: Sequence[OfColours]) -> list[RenderedReading]:
    """The answers to several questions, of pictures of one size, all gray or all in colours."""
    network = model.rendered
    assert network is not None  # the reading has looked
    with torch.inference_mode():
        known = [question.tokens for question in questions if question.tokens is not None]
        _, reading = network(
            torch.cat([question.tiles for question in questions]).to(device), Tokens.joined(known) if known else None
        )
        return [reading.one(number) for number in range(len(questions))] if len(questions) > 1 else [reading]
