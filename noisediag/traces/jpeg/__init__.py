"""What JPEG compression left in a picture: quality of the last one, strength of the blocks, traces of an earlier one.

All of it looks at the luma of 8-bit codes, which a decoder's colour conversion leaves exact where no channel is cut at
0 or 255: 0.299 R + 0.587 G + 0.114 B, rounded, is the luma that was decoded. Its DCT coefficients are multiples of the
quantiser's steps, but for the rounding of the pixels (standard deviation 1 / sqrt(12) in each coefficient). The lattice
is tested as in Z. Fan and R. de Queiroz, IEEE Trans. Image Process. 12, 230 (2003); a second compression on the same
grid as in J. Lukas and J. Fridrich, Proc. DFRWS (2003), and on another one as in T. Bianchi and A. Piva, IEEE Trans.
Inf. Forensics Secur. 7, 842 (2012), each as a likelihood over the qualities of libjpeg.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noisediag.images.image import Codes, JpegTables
from noisediag.traces.jpeg.blocks import luma_tiles
from noisediag.traces.jpeg.borders import block_strength
from noisediag.traces.jpeg.earlier import was_compressed_before
from noisediag.traces.jpeg.last import Compression, last_compression
from noisediag.traces.jpeg.tables import TableQuality, chroma_table, luma_table, quality_of_tables

__all__ = ["TableQuality", "Traces", "chroma_table", "luma_table", "quality_of_tables", "traces"]


@dataclass(frozen=True)
class Traces:
    """What the pixels, and the tables where there are any, say of JPEG compression.

    `quality`: of the last compression, None: never compressed, or not seen. `standard`: its tables are libjpeg's.
    `offset`: (row, column) at which its blocks begin, 0..7. `block_strength`: see `borders`. `resaved`: there was an
    earlier compression; None: the picture does not say.
    """

    quality: int | None
    standard: bool | None
    offset: tuple[int, int] | None
    block_strength: float | None
    resaved: bool | None


def traces(codes: Codes, tables: JpegTables | None = None) -> Traces:
    """The traces of JPEG compression in `codes`: (H, W) or (H, W, 3) uint8, decoded, not changed since but for a crop.

    `tables`: of the file, whose grid then begins at the first pixel; None: quality, 30..100, and grid are looked for in
    the pixels, and tables that are not libjpeg's give the nearest quality over the frequencies that the picture shows.
    `resaved` is False where no trace is seen (as after the same quality twice on one grid, or where the last
    compression was much coarser), and for pictures never compressed. Raises ValueError for other shapes and types.
    """
    tiles = luma_tiles(codes)
    last: Compression | None
    if tables is not None:
        named = quality_of_tables(tables)
        last = Compression(named.quality, named.standard, (0, 0), np.array(tables.luma))
    else:
        last = last_compression(tiles)
    if last is None:
        resaved = None if tiles.patches is None else False
        return Traces(None, None, None, block_strength(tiles), resaved)
    resaved = was_compressed_before(tiles, last)
    return Traces(last.quality, last.standard, last.offset, block_strength(tiles, last.offset), resaved)
