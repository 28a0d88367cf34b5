"""From the collected pytest items to what each needs: marks are read once, in the zygote."""

import pytest

from tonnage.errors import MarkerError
from tonnage.execute import pytest_internals
from tonnage.execute.messages import CollectedTest
from tonnage.execute.relay import TIMEOUT
from tonnage.execute.settled import SETTLED, Settled
from tonnage.markers.locate import locate_marks
from tonnage.markers.marks import MarkValue
from tonnage.markers.problem_text import problem_text
from tonnage.markers.requirement import Requirement, requirement_of


def marks_of(item: pytest.Item) -> list[MarkValue]:
    """The item's marks as plain data, closest first."""
    return [MarkValue(mark.name, mark.args, mark.kwargs) for mark in item.iter_markers()]


def collected_tests(session: pytest.Session) -> list[CollectedTest]:
    """What each collected item is and needs, in order.

    A test whose marks cannot be used gets its problem in words; the others are not concerned.
    """
    settled = session.config.stash[SETTLED]
    return [_collected_test(item, settled) for item in session.items]


def _collected_test(item: pytest.Item, settled: Settled) -> CollectedTest:
    try:
        requirement, problem = requirement_of(marks_of(item), settled.vocabulary), None
    except MarkerError as error:
        requirement, problem = Requirement(), _problem(item, error)
    if requirement.timeout_s is not None:
        item.stash[TIMEOUT] = requirement.timeout_s
    return CollectedTest(
        node_id=item.nodeid,
        path=str(item.path),
        location=list(item.location),
        requirement=requirement,
        problem=problem,
        skips=pytest_internals.skips(item),
        default_timeout_s=pytest_internals.default_timeout_s(item.config),
        expensive_fixture=next(
            filter(None, (_shared_fixture(item, name) for name in settled.expensive_fixtures)), ""
        ),
    )


def _shared_fixture(item: pytest.Item, name: str) -> str:
    """The fixture and where it lives, if the item uses it and later tests could, too."""
    scope, owner = pytest_internals.fixture_scope(item, name)
    if scope == "session":
        return f"{name} of {owner or 'the session'}"
    # One of a module or package is another one in the next.
    return (
        f"{name} of {item.path if scope == 'module' else item.path.parent}"
        if scope in ("module", "package")
        else ""
    )


def _problem(item: pytest.Item, error: MarkerError) -> str:
    """What is wrong with the item's marks, with the place of each."""
    try:
        source = item.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        source = ""
    lines = locate_marks(source, item.nodeid.split("::")[1:])
    return problem_text(error, path=item.location[0], lines=lines)
