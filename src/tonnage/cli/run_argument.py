"""The optional RUN before the arguments for pytest."""

from collections.abc import Sequence


def split_run(args: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """A leading RUN, if there is one, and what is for pytest."""
    given = list(args or ())
    if given and not given[0].startswith("-"):
        return given[0], given[1:]
    return None, given
