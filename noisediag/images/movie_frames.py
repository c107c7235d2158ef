"""The frames of a movie, one at a time: FFmpeg reads the file itself and nothing that the file names.

The container is told to FFmpeg, so that no playlist is taken for one; no protocol is allowed, and whatever else it
asks for is refused.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import iso_media
from noisediag.images.source import MAX_PIXELS, check_size, optional

MAX_FRAMES = 1 << 22  # 39 hours at 30 frames a second
THREADS = 2
EBML, Y4M, RIFF = b"\x1a\x45\xdf\xa3", b"YUV4MPEG2 ", b"RIFF"
_SEGMENT = b"\x18\x53\x80\x67"  # the element of Matroska that holds all others
_UNKNOWN_SIZE = 2**56 - 1
_HEAD_BYTES = 4096
_Y4M_REST = 64  # bytes of a frame's own header
_GRAY16, _GRAY16_SWAPPED = b"Y16 ", b"b16g"  # of AVI: FFmpeg knows but the other order of bytes by a name
_OPTIONS = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
_NAMES = {  # of FFmpeg's metadata -> of ExifTool
    "creation_time": "CreateDate",
    "com.apple.quicktime.make": "Make",
    "com.apple.quicktime.model": "Model",
    "com.apple.quicktime.software": "Software",
    "make": "Make",
    "model": "Model",
    "software": "Software",
}


Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Movie:
    """A movie whose packets were counted. `times`: when its frames are shown, in units of `unit_s`, in their order;
    empty where the file does not say. `keys`: when those frames are shown, and found, that need no other to decode.
    """

    path: Path
    container: str
    codec: str
    frames: int
    times: Times
    keys: tuple[Times, Times]
    unit_s: float
    swapped: bool  # the bytes of its codes, against what FFmpeg says
    acquisition: dict[str, Any] = field(default_factory=dict)

    def seconds(self, frame: int) -> float | None:
        """When a frame is shown, None where the file does not say."""
        return float(self.times[frame]) * self.unit_s if self.times.size else None

    def decode(self, frame: int) -> Any:
        """The decoded frame of that number. Raises TruncatedError where there is none."""
        wanted = int(self.times[frame]) if self.times.size else None
        shown, found = self.keys
        with _stream(self.path, self.container) as (container, stream), _in_words(f"frame {frame}"):
            place = 0 if wanted is None else int(np.searchsorted(shown, wanted, "right")) - 1
            if place > 0:  # the palette of an AVI file comes with its first frame alone
                container.seek(int(found[place]), stream=stream)
            for number, decoded in enumerate(container.decode(stream)):
                stamp = decoded.pts if decoded.pts is not None else decoded.dts
                if number == frame if wanted is None or stamp is None else stamp >= wanted:
                    return decoded
        raise TruncatedError(f"frame {frame} is not there: the movie is cut off or damaged")

    def check_same(self, same: bool, frame: int) -> None:
        """Raise UnsupportedError where a frame is not of the kind of the first one."""
        if not same:
            raise UnsupportedError(f"size or colours change within the movie, at frame {frame}")


def opened(path: Path) -> Movie:
    """The movie at `path`, its packets counted without decoding any."""
    container = _container(path)
    packets, frames, end, times, keys_shown, keys_found = 0, 0, 0, array("q"), array("q"), array("q")
    with _stream(path, container) as (source, stream):
        with _in_words("the movie"):
            for packet in source.demux(stream):
                packets += packet.size > 0
                if packet.size == 0 or packet.is_discard:
                    continue
                if packet.is_corrupt:
                    raise TruncatedError(f"frame {frames} is cut off")
                frames, end = frames + 1, (packet.pos or 0) + packet.size
                if frames > MAX_FRAMES:
                    raise TooLargeError(f"more than {MAX_FRAMES} frames (a bomb?)")
                # AVI has times of decoding alone: with frames between others, those of showing are near them.
                shown = packet.pts if packet.pts is not None else packet.dts
                if shown is not None:
                    times.append(shown)
                    if packet.is_keyframe:
                        keys_shown.append(shown)
                        keys_found.append(shown if packet.dts is None else packet.dts)
        if frames == 0:
            raise TruncatedError("the movie holds no frame")
        if container == "yuv4mpegpipe" and end + _Y4M_REST < path.stat().st_size:  # FFmpeg leaves out half a frame
            raise TruncatedError(f"frame {frames} is cut off")
        if container == "mov" and stream.frames > packets:  # AVI counts frames that were dropped, too
            raise TruncatedError(f"{stream.frames} frames announced, {packets} there")
        acquisition = _acquisition(source, stream)
        codec, unit = stream.codec_context.name, float(stream.time_base or 0)
    ordered = np.unique(np.array(times if len(times) == frames else (), np.int64))
    order = np.argsort(np.array(keys_shown, np.int64), kind="stable")
    keys = np.array(keys_shown, np.int64)[order], np.array(keys_found, np.int64)[order]
    swapped = container == "avi" and _gray16_name(path) is not None
    return Movie(path, container, codec, ordered.size or frames, ordered, keys, unit, swapped, acquisition)


def _av() -> ModuleType:
    return optional("av", "video")


def _container(path: Path) -> str:
    """FFmpeg's name of the container. Raises TruncatedError where it says that it is longer than the file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(RIFF):
        if int.from_bytes(head[4:8], "little") + 8 > size + 1:  # the last, odd part may lack its padding
            raise TruncatedError(f"the AVI file is cut off: {int.from_bytes(head[4:8], 'little') + 8} bytes announced")
        return "avi"
    if head.startswith(EBML):
        end = _segment_end(head)
        if end is not None and end > size:
            raise TruncatedError(f"the Matroska file is cut off: {end} bytes announced, {size} there")
        return "matroska"
    if head.startswith(Y4M):
        return "yuv4mpegpipe"
    iso_media.check_complete(path)
    return "mov"


def _segment_end(head: bytes) -> int | None:
    """Where the segment of a Matroska file ends; None where it does not say."""
    place = head.find(_SEGMENT) + len(_SEGMENT)
    if place < len(_SEGMENT) or place >= len(head):
        return None
    length = 9 - head[place].bit_length()  # as many bytes as there are zeros before the first one, and one
    if not 1 <= length <= 8 or place + length > len(head):
        return None
    stated = int.from_bytes(head[place : place + length], "big") & ((1 << 7 * length) - 1)
    return None if stated == (1 << 7 * length) - 1 or stated == _UNKNOWN_SIZE else place + length + stated


@contextlib.contextmanager
def _stream(path: Path, container: str) -> Iterator[tuple[Any, Any]]:
    """The container, opened, and its first stream of moving pictures."""
    with open(path, "rb") as plain:
        place = _gray16_name(path) if container == "avi" else None
        file = plain if place is None else _Renamed(plain, place)
        try:
            source = _av().open(
                file, format=container, options=dict(_OPTIONS), io_open=_refused, metadata_errors="replace"
            )
        except (_av().error.FFmpegError, OSError) as error:
            raise TruncatedError(f"the movie's header is damaged or cut off ({_reason(error)})") from None
        with source:
            streams = [one for one in source.streams.video if not _is_cover(one)]
            if not streams:
                raise UnsupportedError("holds no moving pictures")
            stream = streams[0]
            if stream.codec_context is None:
                raise UnsupportedError("a movie of a codec that FFmpeg does not know")
            context = stream.codec_context
            check_size(context.height, context.width)
            if not context.width or not context.height:
                raise UnreadableError("the movie states no size")
            context.options = {"max_pixels": str(MAX_PIXELS)}
            context.thread_count, context.thread_type = THREADS, "AUTO"
            yield source, stream


def _gray16_name(path: Path) -> int | None:
    """Where an AVI file says that its pixels are gray ones of 16 bits, the low byte first; None where it does not."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    place = head.find(b"strf", max(head.find(b"vids"), 0)) + 8 + 16
    return place if head[place : place + 4] == _GRAY16 else None


class _Renamed:
    """A file that shows another name of the pixels' format."""

    def __init__(self, file: BinaryIO, place: int):
        self.file, self.place = file, place
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        begin = self.file.tell()
        data = self.file.read(count)
        if begin >= self.place + 4 or begin + len(data) <= self.place:
            return data
        shown = bytearray(data)
        for number, letter in enumerate(_GRAY16_SWAPPED, self.place - begin):
            if 0 <= number < len(shown):
                shown[number] = letter
        return bytes(shown)


def _refused(url: str, *_: Any) -> Any:
    """FFmpeg asks for a second file: one that the movie names."""
    raise PermissionError(f"the movie names another file: {url!r}")


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & _av().stream.Disposition.attached_pic)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except _av().error.FFmpegError as error:
        raise TruncatedError(f"{what} cannot be decoded: damaged or cut off ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _acquisition(source: Any, stream: Any) -> dict[str, Any]:
    """What container and stream say, by ExifTool names."""
    found: dict[str, Any] = {"VideoCodec": str(stream.codec_context.name)}
    if stream.average_rate:
        found["VideoFrameRate"] = float(stream.average_rate)
    if source.duration:
        found["Duration"] = source.duration / _av().time_base
    for metadata in (source.metadata, stream.metadata):
        for key, text in metadata.items():
            name = _NAMES.get(key.lower())
            if name is not None and text.strip():
                found.setdefault(name, text.strip())
    return found
