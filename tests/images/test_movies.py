"""Movies: exact codes of every frame, levels, what is refused, and nothing opened but the file itself."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisediag.errors import InputError, TooLargeError, UnsupportedError, UsageError
from noisediag.images import movie_frames, read

av = pytest.importorskip("av")
SIZE = (48, 66)
FRAMES = 20


def yuv(rng: np.random.Generator, form: str = "yuv420p", size: tuple[int, int] = SIZE) -> list[Any]:
    """Frames of noise over a slope, of any planar format of 8 bits."""
    height, width = size
    frames = []
    for number in range(FRAMES):
        frame = av.VideoFrame(width, height, form)
        for plane in frame.planes:
            values = (
                90 + 40 * np.linspace(0, 1, plane.line_size) + 6 * rng.standard_normal((plane.height, plane.line_size))
            )
            plane.update(np.rint(values).astype(np.uint8).tobytes())
        frame.pts = number
        frames.append(frame)
    return frames


def gray(rng: np.random.Generator, bits: int) -> tuple[np.ndarray, list[Any]]:
    """Codes (frames, H, W) and the frames of them."""
    codes = rng.integers(0, 2**bits, (FRAMES, *SIZE)).astype(np.uint8 if bits == 8 else np.uint16)
    frames = [av.VideoFrame.from_ndarray(one, format="gray" if bits == 8 else "gray16le") for one in codes]
    for number, frame in enumerate(frames):
        frame.pts = number
    return codes, frames


def write(path: Path, frames: Sequence[Any], codec: str, form: str, options: dict[str, str] | None = None) -> Path:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options or {})
        stream.pix_fmt, stream.height, stream.width = form, frames[0].height, frames[0].width
        for frame in [*frames, None]:
            for packet in stream.encode(frame):
                file.mux(packet)
    return path


def shown(path: Path) -> list[list[np.ndarray]]:
    """Every frame's planes, decoded one after the other."""
    with av.open(str(path)) as file:
        return [
            [
                np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[: p.height, : p.width]
                for p in frame.planes
            ]
            for frame in file.decode(video=0)
        ]


KINDS = [
    ("a.mp4", "libx264", "yuv420p", {"preset": "ultrafast", "bf": "2", "g": "7"}),
    ("a.mkv", "libx264", "yuv444p", {"preset": "ultrafast", "bf": "2", "g": "7"}),
    ("a.avi", "mjpeg", "yuvj420p", {}),
    ("a.mov", "mpeg4", "yuv420p", {"g": "5"}),
    ("a.webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    ("a.y4m", "wrapped_avframe", "yuv420p", {}),
    ("b.avi", "rawvideo", "yuv420p", {}),
    ("b.mkv", "ffv1", "yuv422p", {}),
]


@pytest.mark.parametrize(
    ("name", "codec", "form", "options"), KINDS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_luma_and_chroma_are_the_codec_s_own(
    tmp_path: Path, rng: np.random.Generator, name: str, codec: str, form: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / name, yuv(rng, form), codec, form, options)
    expected = shown(path)
    image = read(path)
    assert (image.domain, image.frames, image.repeats, len(expected)) == ("rendered", FRAMES, False, FRAMES)
    assert list(dict.fromkeys(plane.name for plane in image.planes)) == ["Cb", "Cr", "Y"]
    assert len({plane.frame for plane in image.planes}) == 8
    for plane in image.planes:
        np.testing.assert_array_equal(plane.load(), expected[plane.frame][["Y", "Cb", "Cr"].index(plane.name)])
        full = form.startswith("yuvj")
        assert plane.black_dn == (0 if full else 16)
        assert plane.white_dn == (255 if full else 235 if plane.name == "Y" else 240)
    for number in (1, 11):  # of frames that are not among the sampled ones, too
        (luma,) = read(path, frame=number, channel="luma").planes
        assert (luma.name, luma.frame) == ("Y", number)
        np.testing.assert_array_equal(luma.load(), expected[number][0])
    with pytest.raises(UsageError, match="no frame 20"):
        read(path, frame=FRAMES)
    assert image.acquisition["VideoFrameRate"] == 25
    assert any("8 of 20 frames" in line for line in image.warnings)


def test_ten_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    frames = [frame.reformat(format="yuv420p10le") for frame in yuv(rng)]
    for number, frame in enumerate(frames):
        frame.pts = number
    image = read(write(tmp_path / "a.mkv", frames, "ffv1", "yuv420p10le"))
    assert {(p.name, p.black_dn, p.white_dn) for p in image.planes} == {
        ("Y", 64, 940),
        ("Cb", 64, 960),
        ("Cr", 64, 960),
    }
    assert {p.load().dtype for p in image.planes} == {np.dtype(np.uint16)}


@pytest.mark.parametrize("form", ["rgb24", "bgr24", "gbrp", "yuyv422", "uyvy422", "nv12"])
def test_packed_pixels(tmp_path: Path, rng: np.random.Generator, form: str) -> None:
    name, codec = {"gbrp": ("a.avi", "utvideo"), "rgb24": ("a.mov", "png")}.get(form, ("a.avi", "rawvideo"))
    frame = av.VideoFrame(64, 48, form)
    for plane in frame.planes:
        plane.update(rng.integers(16, 235, plane.buffer_size, dtype=np.uint8).tobytes())
    image = read(write(tmp_path / name, [frame], codec, form))
    codes = {plane.name: plane.load() for plane in image.planes}
    assert image.frames == 1
    if set(codes) == set("RGB"):
        np.testing.assert_array_equal(np.stack([codes[c] for c in "RGB"], -1), frame.to_ndarray(format="rgb24"))
        assert {(plane.black_dn, plane.white_dn) for plane in image.planes} == {(0, 255)}
    else:
        planar = frame.reformat(format="yuv420p" if form == "nv12" else "yuv422p")
        for number, channel in enumerate(("Y", "Cb", "Cr")):
            plane = planar.planes[number]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            np.testing.assert_array_equal(codes[channel], rows[: plane.height, : plane.width])


@pytest.mark.parametrize(
    ("name", "codec", "bits"),
    [("a.avi", "rawvideo", 8), ("b.avi", "ffv1", 16), ("a.mkv", "ffv1", 8), ("a.y4m", "wrapped_avframe", 8)],
)
def test_gray_without_loss_is_linear_light(
    tmp_path: Path, rng: np.random.Generator, name: str, codec: str, bits: int
) -> None:
    codes, frames = gray(rng, bits)
    image = read(write(tmp_path / name, frames, codec, "gray" if bits == 8 else "gray16le"))
    assert (image.domain, image.repeats, image.frame_axes) == ("linear", True, (("T", FRAMES),))
    assert [plane.frame for plane in image.planes] == list(range(FRAMES))
    np.testing.assert_array_equal(np.stack([plane.load() for plane in image.planes]), codes)
    assert {(p.black_dn, p.white_dn, p.offset_known) for p in image.planes} == {(0, 2**bits - 1, False)}


def test_sixteen_bit_avi_of_a_microscope(tmp_path: Path, rng: np.random.Generator) -> None:
    """Its four letters say gray; FFmpeg itself writes none."""
    codes, frames = gray(rng, 16)
    path = write(tmp_path / "a.avi", frames, "rawvideo", "gray16le")
    data = bytearray(path.read_bytes())
    header = data.index(b"strf") + 8
    data[header + 16 : header + 20] = b"Y16 "
    path.write_bytes(bytes(data))
    image = read(path)
    assert image.domain == "linear"
    np.testing.assert_array_equal(np.stack([plane.load() for plane in image.planes]), codes)


def test_a_palette_of_grays_is_gray_and_another_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = rng.integers(0, 256, SIZE, dtype=np.uint8)
    grays = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, 1)
    grays[:, 0] = 255
    for palette, fine in ((grays, True), (grays[::-1], False)):
        frame = av.VideoFrame.from_ndarray((codes, np.ascontiguousarray(palette)), format="pal8")
        path = write(tmp_path / f"{fine}.avi", [frame, frame], "rawvideo", "pal8")
        if fine:
            np.testing.assert_array_equal(read(path, frame=1).planes[0].load(), codes)
        else:
            with pytest.raises(UnsupportedError, match="palette"):
                read(path)


def test_lossy_gray_is_rendered(tmp_path: Path, rng: np.random.Generator) -> None:
    _, frames = gray(rng, 8)
    image = read(write(tmp_path / "a.mp4", frames, "libx264", "gray", {"preset": "ultrafast"}))
    assert (image.domain, {plane.name for plane in image.planes}) == ("rendered", {"gray"})
    assert {(plane.black_dn, plane.white_dn) for plane in image.planes} == {(16, 235)}


@pytest.mark.parametrize("kind", [0, 1, 2, 5], ids=lambda number: KINDS[number][0])
def test_cut_off_damaged_and_empty_movies_are_refused(
    tmp_path: Path, rng: np.random.Generator, capfd: pytest.CaptureFixture[str], kind: int
) -> None:
    name, codec, form, options = KINDS[kind]
    path = write(tmp_path / name, yuv(rng, form), codec, form, options)
    whole = path.read_bytes()
    for length in (len(whole) - 40, len(whole) // 2, 64, 13, 0):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            [plane.load() for plane in read(path).planes]
        assert "\n" not in str(caught.value)
    for _ in range(6):
        data = bytearray(whole)
        for place in rng.integers(16, len(data), 6):
            data[place] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        with contextlib.suppress(InputError):  # any other error would be a traceback
            [plane.load() for plane in read(path).planes]
    assert capfd.readouterr().err == ""


def test_sound_alone_is_no_movie(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    with pytest.raises(UnsupportedError, match="no moving pictures"):
        read(path)


def test_a_size_bomb_is_refused_before_it_is_decoded(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "a.avi", gray(rng, 8)[1], "rawvideo", "gray")
    data = bytearray(path.read_bytes())
    header = data.index(b"strf") + 8
    for side in (20_000, 60_000):  # beyond our limit, and beyond FFmpeg's own
        data[header + 4 : header + 12] = struct.pack("<ii", side, side)
        path.write_bytes(bytes(data))
        with pytest.raises(InputError):
            read(path)
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 Cmono\nFRAME\n" + bytes(100))
    with pytest.raises(InputError):
        read(path)


def test_too_many_frames_are_refused(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.avi", gray(rng, 8)[1], "rawvideo", "gray")
    monkeypatch.setattr(movie_frames, "MAX_FRAMES", FRAMES - 1)
    with pytest.raises(TooLargeError, match="frames"):
        read(path)


def lists(target: str) -> dict[str, bytes]:
    """Texts that FFmpeg takes for lists of other files."""
    return {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode(),
        "a.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "a.mpd": f'<?xml version="1.0"?><MPD><BaseURL>{target}</BaseURL></MPD>'.encode(),
        "a.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nm=video 5004 RTP/AVP 96\n",
    }


def named_elsewhere(data: bytes, target: str) -> bytes:
    """A QuickTime movie whose pixels are said to be in another file, by an alias in its data reference."""
    path = target.encode()
    alias = bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(20)
    alias += struct.pack(">HH", 2, len(path)) + path + bytes(-len(path) % 2) + struct.pack(">HH", 0xFFFF, 0)
    alias += bytes(max(0, 160 - len(alias)))
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    place = data.index(b"dref") + 12
    old = int.from_bytes(data[place : place + 4], "big")
    changed = bytearray(data[:place] + entry + data[place + old :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = data.index(name) - 4
        changed[at : at + 4] = struct.pack(">I", int.from_bytes(data[at : at + 4], "big") + len(entry) - old)
    return bytes(changed)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_no_file_that_a_movie_names_is_opened(tmp_path: Path, rng: np.random.Generator) -> None:
    """The file that is named is a pipe: who opened it would wait for ever."""
    pipe = tmp_path / "secret.mov"
    os.mkfifo(pipe)
    for name, data in lists(str(pipe)).items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UnsupportedError):
            read(path)
    whole = write(tmp_path / "a.mov", yuv(rng)[:3], "mpeg4", "yuv420p").read_bytes()
    assert whole.index(b"mdat") < whole.index(b"moov")  # so that places of pixels do not change
    path = tmp_path / "b.mov"
    for target in (str(pipe), "secret.mov"):
        path.write_bytes(named_elsewhere(whole, target))
        with contextlib.suppress(InputError):
            assert read(path).frames == 3  # those of the file itself


def test_what_ffmpeg_asks_for_beside_the_file_is_refused() -> None:
    with pytest.raises(PermissionError, match="names another file"):
        movie_frames._refused("/etc/passwd", 1, {})


def test_without_the_extra_one_line_names_it(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.avi", gray(rng, 8)[1], "rawvideo", "gray")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedError, match=r"noisediag\[video\]"):
        read(path)


def test_make_and_time_of_a_camera(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as file:
        file.metadata.update({"make": "Acme", "model": "Cam 1", "creation_time": "2024-05-06T07:08:09.000000Z"})
        stream = file.add_stream("mpeg4", rate=25)
        stream.pix_fmt, stream.height, stream.width = "yuv420p", *SIZE
        for packet in [*stream.encode(yuv(rng)[0]), *stream.encode(None)]:
            file.mux(packet)
    found = read(path).acquisition
    assert (found["Make"], found["Model"], found["CreateDate"][:10]) == ("Acme", "Cam 1", "2024-05-06")
