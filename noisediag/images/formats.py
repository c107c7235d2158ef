"""Which reader a file needs, decided by its first bytes and never by its name."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Literal, get_args

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import dax, dicom, hdf5, iso_media, mrc, nifti, packed
from noisediag.images.declaration import Declaration
from noisediag.images.raw_files import silence, tiff_holds_raw

# What pictures are called; only for folders, where a look into every file would take hours. Movies are looked at where
# they are asked for: folders of photographs hold them, too.
_RAW_NAMES = "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
_SCIENCE = "tif tiff btf lsm npy fit fits fts czi nd2 lif h5 hdf5 nwb dcm dicom ima nii mrc mrcs dax zarr"
_PICTURES = "png jpg jpeg jpe webp bmp heic heif hif avif jxl"
SUFFIXES = frozenset(f".{word}" for word in f"{_RAW_NAMES} {_SCIENCE} {_PICTURES}".split())

PACKED = ".gz"
_HEAD_BYTES = 4096  # the last place but a few where HDF5 may begin is 2048
# Each is the module of this package that reads it: `noisediag.images.<Format>.read(path)`.
_Ordinary = Literal["raw", "tiff", "picture", "array", "bio", "heif", "avif", "jxl", "movie"]
_Scientific = Literal["fits", "dax", "dicom", "hdf5", "mrc", "nifti", "zarr"]
Format = Literal[_Ordinary, _Scientific]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# RAW containers with a signature of their own; NEF, CR2, ARW, PEF, DNG are TIFF files and are told apart by their tags.
_RAW = (
    b"FUJIFILMCCD-RAW",
    b"IIU\0",  # Panasonic RW2
    b"IIRO",  # Olympus ORF
    b"IIRS",
    b"MMOR",
    b"\0MRM",  # Minolta MRW
    b"FOVb",  # Sigma X3F
    b"II\x1a\0\0\0HEAPCCDR",  # Canon CRW
)
_PICTURE = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
_BIO = (b"ZISRAWFILE", b"\xda\xce\xbe\x0a", b"\x70\0\0\0")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_JXL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
_MOVIE = (b"\x1a\x45\xdf\xa3", b"YUV4MPEG2 ")
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # parts that files from before `ftyp` begin with
_REFUSED = (
    (b"GIF8", "GIF: at most 256 colours, its noise is dither"),
    (b"PK\x03\x04", "a zip archive (npz, zipped pictures): unpack it first"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000 is not read"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 is not read"),
    (b"8BPS", "Photoshop PSD is not read"),
    (b"v/1\x01", "OpenEXR is not read"),
    (b"%PDF", "PDF is a document, not a picture"),
)


def declarations() -> tuple[tuple[str, Declaration], ...]:
    """What every reader says of its formats, with the name of its module."""
    modules = [(form, importlib.import_module(f"noisediag.images.{form}")) for form in get_args(Format)]
    return tuple((form, declared) for form, module in modules for declared in module.DECLARED)


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is taken for a picture, packed or not."""
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122 - of a million names
    return (os.path.splitext(stem)[1] if suffix == PACKED else suffix) in SUFFIXES  # noqa: PTH122


def identify(path: Path) -> Format:
    """The reader for the file at `path`.

    Raises UnreadableError (empty), TruncatedError (only the signature is there) and UnsupportedError for formats that
    are recognised but not read, and for files without any known signature (headerless .raw dumps among them).
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise UnreadableError("the file is empty")
    science = _scientific(head)  # first of all: the 128 bytes before DICOM's mark may be those of a TIFF file
    if science is not None:
        return science
    if head.startswith(_TIFF):
        if len(head) < 16:
            raise TruncatedError("the TIFF header is cut off")
        return "raw" if tiff_holds_raw(path) else "tiff"
    if head.startswith(_RAW):
        return "raw"
    if head.startswith(_PICTURE) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "picture"
    if head.startswith(b"\x93NUMPY"):
        return "array"
    if head.startswith(b"SIMPLE  ="):
        return "fits"
    if head.startswith(_BIO):
        return "bio"
    if head.startswith(_JXL):
        return "jxl"
    if head[4:8] == b"ftyp":
        if head[8:12] == b"crx ":
            return "raw"
        if any(brand in _AVIF_BRANDS for brand in iso_media.brands(head)):
            return "avif"
        if head[8:12] in _HEIF_BRANDS:
            return "heif"
        return "movie"
    if head[4:8] in _QUICKTIME or head.startswith(_MOVIE) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "movie"
    for signature, reason in _REFUSED:
        if head.startswith(signature):
            raise UnsupportedError(reason)
    if head.startswith(packed.SIGNATURE):
        raise UnsupportedError("a gzip file within a gzip file")
    if dax.is_dax(path):  # frames without any header
        return "dax"
    if not any(head[:512]):
        raise UnreadableError("the file begins with 512 zero bytes")
    if is_coded_dump(path):
        return "raw"
    raise UnsupportedError("no known format: a headerless .raw dump, or not a picture")


def is_coded_dump(path: Path) -> bool:
    """Whether LibRaw knows a headerless file by its size and then really decodes it (old Kodak YRGB files).

    It also guesses Bayer dumps from their size alone; nothing there confirms width, depth or pattern, so these are not
    read.
    """
    import rawpy  # only for such files: most runs need no RAW decoder

    try:
        with path.open("rb") as stream, silence(), rawpy.imread(stream) as raw:
            return bool(raw.raw_type == rawpy.RawType.Stack)
    except rawpy.LibRawError:
        return False


def _scientific(head: bytes) -> Format | None:
    """Formats whose marks stand behind bytes that may be anything."""
    if head[dicom.SIGNATURE_AT :].startswith(dicom.SIGNATURE):
        return "dicom"
    if any(head[place:].startswith(hdf5.SIGNATURE) for place in hdf5.SIGNATURE_AT):
        return "hdf5"
    if nifti.is_nifti(head):
        return "nifti"
    return "mrc" if mrc.is_mrc(head) else None
