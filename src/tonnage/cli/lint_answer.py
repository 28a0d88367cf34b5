"""What a run of `tonnage lint` has to say."""

from dataclasses import dataclass


@dataclass(slots=True)
class Answer:
    """What to print, the exit code, and the files that this depends on.

    `out` is the result, `err` what is said beside it. `is_lasting`: the same command gives the same
    as long as the files in `depends_on` stay as they are.
    """

    out: str = ""
    err: str = ""
    status: int = 0
    depends_on: tuple[str, ...] = ()
    is_lasting: bool = True
