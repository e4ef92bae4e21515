"""Pictures of a prompt: read from files, found in the prompt's tokens, and made ready for the model."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from ollamax.errors import ContextFullError, ImageError, UsageError
from ollamax.kvcache.pictures import FOREVER, View

if TYPE_CHECKING:
    from ollamax.arch import Picture, VisionArchitecture

Image = bytes | str | os.PathLike[str]

LARGEST_FILE = 64 << 20


def check_images(place: str, images: object) -> Sequence[Image]:
    """``images`` if it is a list or another sequence, empty for None; raises UsageError, led by ``place``.

    A lone path or lone bytes would be taken letter by letter, and an iterator be empty when it is shown again.
    """
    if images is None:
        return ()
    if isinstance(images, str | bytes | bytearray) or not isinstance(images, Sequence):
        raise UsageError(f"{place} has images of type {type(images).__name__}; expected a list of paths or bytes")
    return images


def read_image(place: str, image: object) -> bytes:
    """The bytes of a picture that is given as such or as a path; ``place`` leads the messages of errors.

    Raises UsageError for anything else, and ImageError for a file that is none, cannot be read or is too large.
    """
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str | os.PathLike):
        raise UsageError(f"{place} has an image of type {type(image).__name__}; expected a path or bytes")
    try:
        with Path(image).open("rb") as file:
            status = os.fstat(file.fileno())
            if not S_ISREG(status.st_mode):
                raise ImageError(f"{place}: cannot read image {image}: not a regular file")
            if status.st_size > LARGEST_FILE:
                raise ImageError(f"{place}: image {image} has {status.st_size} bytes; at most {LARGEST_FILE} are read")
            return file.read(LARGEST_FILE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"{place}: cannot read image {image}: {reason}") from error


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in a prompt: ready to be encoded, and which tokens see it. ``digest`` tells it from others."""

    digest: bytes
    picture: Picture
    view: View


class PictureReader:
    """Makes pictures ready for one loaded model; ``most`` is how many a prompt may have.

    ``mark`` is the text of the token that stands for a picture. The last pictures are kept, since a chat shows them
    again with each turn.
    """

    def __init__(self, architecture: VisionArchitecture, mark: str, most: int) -> None:
        self.mark, self.token = mark, architecture.image_token
        self._architecture, self._most = architecture, most
        self._kept: OrderedDict[bytes, Picture] = OrderedDict()

    def find(self, ids: Sequence[int], images: Sequence[bytes]) -> tuple[Shown, ...]:
        """The pictures of a prompt, in the order of their tokens.

        Raises ImageError for a picture that cannot be used, or if there are not as many tokens as pictures, and
        ContextFullError for too many.
        """
        places = [place for place, token in enumerate(ids) if token == self.token]
        if len(places) != len(images):
            raise ImageError(
                f"the prompt has {len(places)} of the token {self.mark} and {len(images)} pictures; "
                "each picture needs one, from the template or in the text"
            )
        if len(images) > self._most:
            raise ContextFullError(
                f"the prompt has {len(images)} pictures and the model was loaded for {self._most}; raise num_images"
            )
        shown = []
        for number, (data, (begin, end)) in enumerate(zip(images, self._architecture.spans(places), strict=True), 1):
            digest, picture = self._prepare(number, data)
            shown.append(Shown(digest, picture, View(begin, FOREVER if end is None else end, picture.visible)))
        return tuple(shown)

    def _prepare(self, number: int, data: bytes) -> tuple[bytes, Picture]:
        digest = hashlib.sha256(data).digest()
        if digest not in self._kept:
            try:
                self._kept[digest] = self._architecture.prepare(data)
            except ImageError as error:
                raise ImageError(f"picture {number}: {error}") from error
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(digest)
        return digest, self._kept[digest]
