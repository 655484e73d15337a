"""Image files: reading whatever people have, writing whole or not at all.

Arrays are uint8, (H, W, 3) for colour and (H, W) for masks. Numpy and Pillow are imported by the
functions, so importing this package costs nothing.
"""

from chimera_core.images.decoding import PICTURE_SUFFIXES
from chimera_core.images.formats import write_picture
from chimera_core.images.limits import MAX_PIXELS
from chimera_core.images.notes import read_notes
from chimera_core.images.reading import (
    READING,
    Picture,
    check_picture,
    decode_picture,
    picture_shape,
    read_mask,
    read_picture,
)
from chimera_core.images.writing import check_output, check_pixels, write_gif, write_png

__all__ = [
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "READING",
    "Picture",
    "check_output",
    "check_picture",
    "check_pixels",
    "decode_picture",
    "picture_shape",
    "read_mask",
    "read_notes",
    "read_picture",
    "write_gif",
    "write_picture",
    "write_png",
]
