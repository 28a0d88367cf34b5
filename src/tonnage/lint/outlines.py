"""The outlines of files, computed or taken from what was stored, by content."""

import errno
import os
import stat
from collections.abc import Mapping
from hashlib import blake2b

from tonnage.lint.codec import decode, encode
from tonnage.lint.outline import Outline
from tonnage.lint.outlining import outline_of


class Outlines:
    """Reads files and outlines them.

    `stored` holds outlines as text, by the hash of the content. `made` are those computed here, as
    text, `used` the hashes of all; `read` the paths.
    """

    def __init__(self, stored: Mapping[str, str] | None = None) -> None:
        self.made: dict[str, str] = {}
        self.used: set[str] = set()
        self._stored = stored
        self._hashes: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}

    @property
    def read(self) -> list[str]:
        """The paths that were read, or could not be."""
        return [*self._hashes, *self._unreadable]

    def of(self, path: str) -> Outline:
        """The outline of a file. Raises OSError where it cannot be read."""
        try:
            source = _content(path)
        except OSError as error:
            self._unreadable[path] = f"cannot be read: {error.strerror or error}"
            raise
        content_hash = blake2b(source, digest_size=16).hexdigest()
        self._hashes[path] = content_hash
        if self._stored is None:
            return outline_of(source)
        self.used.add(content_hash)
        text = self._stored.get(content_hash)
        if text is not None:
            try:
                return decode(text)
            except ValueError:  # garbage: compute it again
                pass
        outline = outline_of(source)
        self.made[content_hash] = encode(outline)
        return outline

    def hash_of(self, path: str) -> str:
        """The hash of a file's content, as it was when it was read."""
        return self._hashes.get(path, "")

    def why_unreadable(self, path: str) -> str:
        """The reason, in one line."""
        return self._unreadable.get(path, "cannot be read")


def _content(path: str) -> bytes:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "it is no regular file")
    with open(path, "rb") as file:
        return file.read()
