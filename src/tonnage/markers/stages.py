"""Pipeline stages: each runs the tests of its own lifecycle and of all earlier ones."""

from collections.abc import Sequence

from tonnage.errors import OptionError, suggestion


def stage_selects(stage: str, lifecycle: str | None, order: Sequence[str]) -> bool:
    """Whether `stage` runs a test of this lifecycle. A test without one runs in no stage.

    `order`: all lifecycles, earliest first. Raises OptionError for a stage that is not in it.
    """
    check_stage(stage, order)
    return lifecycle is not None and order.index(lifecycle) <= order.index(stage)


def check_stage(stage: str, order: Sequence[str]) -> None:
    """Raise OptionError when there is no such stage, naming those there are."""
    if stage in order:
        return
    known = f"The stages are {', '.join(order)}." if order else "This project has no lifecycles."
    near = suggestion(stage, order)
    raise OptionError(
        f'there is no stage "{stage}"',
        where="--stage",
        remedy=f"{near[0].upper()}{near[1:]} {known}" if near else known,
    )
