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
from typing import Any

import av
import av.error

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import iso_media
from noisediag.images.source import MAX_PIXELS, check_size

MAX_FRAMES = 1 << 22  # 39 hours at 30 frames a second
THREADS = 2
EBML, Y4M, RIFF = b"\x1a\x45\xdf\xa3", b"YUV4MPEG2 ", b"RIFF"
_SEGMENT = b"\x18\x53\x80\x67"  # the element of Matroska that holds all others
_UNKNOWN_SIZE = 2**56 - 1
_HEAD_BYTES = 4096
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


@dataclass(frozen=True)
class Movie:
    """A movie whose packets were counted. `times`: when its frames are shown, in units of `unit_s`, in their order;
    empty where the file does not say.
    """

    path: Path
    container: str
    codec: str
    frames: int
    times: array[int]
    unit_s: float
    acquisition: dict[str, Any] = field(default_factory=dict)

    def seconds(self, frame: int) -> float | None:
        """When a frame is shown, None where the file does not say."""
        return self.times[frame] * self.unit_s if self.times else None

    def decode(self, frame: int) -> Any:
        """The decoded frame of that number. Raises TruncatedError where there is none."""
        with _stream(self.path, self.container) as (container, stream):
            wanted = self.times[frame] if self.times else None
            if wanted is not None:
                container.seek(wanted, stream=stream)
            with _in_words(f"frame {frame}"):
                for number, decoded in enumerate(container.decode(stream)):
                    stamp = decoded.pts if decoded.pts is not None else decoded.dts
                    if wanted is None or stamp is None:
                        if number == frame:
                            return decoded
                    elif stamp >= wanted:
                        return decoded
        raise TruncatedError(f"frame {frame} is not there: the movie is cut off or damaged")

    def check_same(self, same: bool, frame: int) -> None:
        """Raise UnsupportedError where a frame is not of the kind of the first one."""
        if not same:
            raise UnsupportedError(f"size or colours change within the movie, at frame {frame}")


def opened(path: Path) -> Movie:
    """The movie at `path`, its packets counted without decoding any."""
    container = _container(path)
    times, frames, timed = array("q"), 0, True
    with _stream(path, container) as (source, stream):
        with _in_words("the movie"):
            for packet in source.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                frames += 1
                if frames > MAX_FRAMES:
                    raise TooLargeError(f"more than {MAX_FRAMES} frames (a bomb?)")
                stamp = packet.pts if packet.pts is not None else packet.dts
                timed = timed and stamp is not None
                if timed:
                    times.append(stamp)
        if frames == 0:
            raise TruncatedError("the movie holds no frame")
        if stream.frames > frames:
            raise TruncatedError(f"{stream.frames} frames announced, {frames} there")
        acquisition = _acquisition(source, stream)
        codec, unit = stream.codec_context.name, float(stream.time_base or 0)
    ordered = array("q", sorted(set(times))) if timed else array("q")
    return Movie(path, container, codec, len(ordered) or frames, ordered, unit, acquisition)


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
    with open(path, "rb") as file:
        try:
            source = av.open(
                file, format=container, options=dict(_OPTIONS), io_open=_refused, metadata_errors="replace"
            )
        except (av.error.FFmpegError, OSError) as error:
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


def _refused(url: str, *_: Any) -> Any:
    """FFmpeg asks for a second file: one that the movie names."""
    raise PermissionError(f"the movie names another file: {url!r}")


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        raise TruncatedError(f"{what} cannot be decoded: damaged or cut off ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _acquisition(source: Any, stream: Any) -> dict[str, Any]:
    """What container and stream say, by ExifTool names."""
    found: dict[str, Any] = {"VideoCodec": str(stream.codec_context.name)}
    if stream.average_rate:
        found["VideoFrameRate"] = float(stream.average_rate)
    if source.duration:
        found["Duration"] = source.duration / av.time_base
    for metadata in (source.metadata, stream.metadata):
        for key, text in metadata.items():
            name = _NAMES.get(key.lower())
            if name is not None and text.strip():
                found.setdefault(name, text.strip())
    return found
