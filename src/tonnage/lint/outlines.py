"""The outlines of files, computed or taken from the store by content."""

from hashlib import blake2b

from tonnage.lint.outline import Outline
from tonnage.lint.outlining import outline_of


class Outlines:
    """Reads files and outlines them; remembers why a file could not be read."""

    def __init__(self) -> None:
        self._hashes: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}

    def of(self, path: str) -> Outline:
        """The outline of a file. Raises OSError where it cannot be read."""
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            self._unreadable[path] = f"cannot be read: {error.strerror or error}"
            raise
        self._hashes[path] = blake2b(source, digest_size=16).hexdigest()
        return outline_of(source)

    def hash_of(self, path: str) -> str:
        """The hash of a file's content, as it was when it was read."""
        return self._hashes.get(path, "")

    def why_unreadable(self, path: str) -> str:
        """The reason, in one line."""
        return self._unreadable.get(path, "cannot be read")
