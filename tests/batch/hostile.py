"""Files that mean harm, each small and of valid form: long and odd texts, names of other files, counts beyond reason.

Beside those that chance damages (mutate.py) they are what `mutate.fill` writes.
"""

import io
import struct

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

SIDE = 48
OWN, OTHER = "urn:uuid:11111111-1111-1111-1111-111111111111", "urn:uuid:22222222-2222-2222-2222-222222222222"
LENGTHS = (0, 1, 255, 4096, 32_768, 65_536, 131_073)
COUNTS = (0, 1, 2, 3, 2**16, 2**31 - 1, 2**32 - 1, 10**12, 10**30)
BITS_OF_TEXT = (
    "x",
    "=HYPERLINK(1)",
    "\x1b[31m",
    "\n",
    "\r\n",
    '"',
    ",",
    "\0",
    "\t",
    "é",
    "\u202e",
    "\U0001f600",
    "NaN",
    "/etc/x",
)
REFERENCES = (
    "../secret.tif",
    "/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "pipe",
    "folder",
    "loop",
    "link",
    "00000.plain.tif",
    "..",
    ".",
    "",
    "a/b",
    "C:\\x.tif",
    "x" * 5000,
    "~/x.tif",
    "a&#10;b",
    "%2e%2e/x",
)
NAMES = (
    b"\xff\xfe",
    b"=1+1",
    b"@SUM(A1)",
    b"-o",
    b"line\nbreak",
    b"esc\x1b[31m",
    b" space ",
    b"'quote\"",
    b"a,b;c\td",
    "\u202egnp".encode(),
    b"n" * 180,
    b"\xed\xa0\x80",
    b"%s%n{0}",
    b"$(id)`id`",
)


def text(rng):
    """Any length, any characters."""
    length = rng.choice(LENGTHS)
    return (rng.choice(BITS_OF_TEXT) * length)[:length]


def picture(rng):
    values = np.random.default_rng(rng.randrange(100)).normal(1000, 30, (SIDE, SIDE))
    return values.round().astype(np.uint16)


def tiff(rng, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture(rng), metadata=None, **options)
    return buffer.getvalue()


def long_tag(rng):
    """A camera, a software, a description of any text, or levels of any number."""
    words = text(rng).encode("utf-8", "replace") + b"\0"
    code = rng.choice((270, 271, 272, 306, 315, 33432, 42113))
    tags = [(code, 2, len(words), words, True)]
    if rng.random() < 0.3:
        number = rng.choice((0.0, -1.0, 1e-320, 1e300, float("nan"), float("inf"), 65535.0, 70000.0))
        tags = [(50714, 12, 1, number, True), (50717, 12, 1, rng.choice((0.0, 65535.0, 1e308)), True)]
    return ".tif", tiff(rng, extratags=tags)


def reference(rng):
    """OME-XML that names another file and any numbers of frames."""
    size, planes, first = (rng.choice(COUNTS) if rng.random() < 0.2 else 1 for _ in range(3))
    name = rng.choice(REFERENCES)
    more = f'<TiffData FirstC="0" FirstT="1" FirstZ="0" IFD="{first - 1}" PlaneCount="{planes}">'
    more += f'<UUID FileName="{name}">{rng.choice((OTHER, OTHER, OWN))}</UUID></TiffData>'
    xml = (
        f'<?xml version="1.0"?><OME UUID="{OWN}" xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{SIDE}" '
        f'SizeY="{SIDE}" SizeC="1" SizeZ="{size}" SizeT="2"><TiffData FirstC="0" FirstT="0" FirstZ="0" IFD="0" '
        f'PlaneCount="1"><UUID FileName="me.tif">{OWN}</UUID></TiffData>{more}</Pixels></Image></OME>'
    )
    return ".ome.tif", tiff(rng, description=xml)


def directories(rng):
    """Directories of one entry, in a chain that may end in itself."""
    count = rng.choice((1, 2, 300))
    body = b"".join(
        b"\1\0"
        + struct.pack("<HHII", rng.choice((256, 257, 330, 34665)), rng.choice((3, 4, 13)), 1, 8)
        + struct.pack("<I", 8 + 18 * n)
        for n in range(1, count + 1)
    )
    return ".tif", b"II*\0" + struct.pack("<I", 8) + body[:-4] + struct.pack("<I", rng.choice((0, 8)))


def png(rng):
    info = PngImagePlugin.PngInfo()
    info.add_text(rng.choice(("Software", "Title", "Raw profile type exif")), text(rng), zip=rng.random() < 0.5)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[rng.choice((271, 272, 305))] = text(rng)
    Image.fromarray(picture(rng)).save(buffer, "PNG", pnginfo=info, **({"exif": exif} if rng.random() < 0.5 else {}))
    return ".png", buffer.getvalue()


def fits(rng):
    """A header with cards of any value, one of them long."""
    values = ("1E999", "-1E999", "NaN", "'" + "y" * 60 + "'", "''", "T", "(1,2)", "1" * 60, "'\x1b[31m'")
    cards = {"SIMPLE": "T", "BITPIX": rng.choice((16, 16, -32, 64, 7)), "NAXIS": 2}
    cards |= {"NAXIS1": rng.choice((SIDE, SIDE, 10**9, 0)), "NAXIS2": SIDE}
    names = ("SATURATE", "BLANK", "BZERO", "BSCALE", "EGAIN", "GAIN", "EXPTIME", "INSTRUME", "DATE-OBS", "OBJECT")
    cards |= {name: rng.choice(values) for name in rng.sample(names, 3)}
    header = "".join(f"{name:8}= {value:>20}".ljust(80)[:80] for name, value in cards.items())
    header += "CONTINUE  'x&'".ljust(80) * rng.choice((0, 1, 500)) + "END"
    body = header.encode("latin-1", "replace")
    return ".fits", body.ljust(-(-len(body) // 2880) * 2880) + picture(rng).byteswap().tobytes().ljust(5760, b"\0")


def npy(rng):
    """A header with any shape and type before few bytes, or values at the ends of what numbers can be."""
    buffer = io.BytesIO()
    if rng.random() < 0.5:
        size = 10.0 ** rng.uniform(-320, 307)
        with np.errstate(all="ignore"):
            np.save(buffer, (picture(rng) * size).astype(rng.choice(("f2", "f4", "f8"))))
        return ".npy", buffer.getvalue()
    shape = tuple(rng.choice((0, 1, 2, SIDE, -1, 10**9)) for _ in range(rng.choice((0, 1, 2, 3, 40))))
    kind = rng.choice(("<u2", "|O", "<f8", "|V10", "<U5", "<c16", ">i4", "|b1", "<M8[s]", "[('a', '<u2')]"))
    header = f"{{'descr': {kind!r}, 'fortran_order': {rng.random() < 0.5}, 'shape': {shape}, }}"
    header = header.ljust(rng.choice((118, 9000, 60_000))) + "\n"
    return ".npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header) % 65536) + header.encode() + bytes(SIDE * SIDE)


MAKERS = (long_tag, reference, reference, directories, png, fits, npy)


def name(rng):
    """The beginning of a file's name, in bytes, that some program may trip over."""
    return rng.choice(NAMES)
