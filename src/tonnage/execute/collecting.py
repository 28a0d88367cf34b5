"""Collecting through the zygote: once, if the suite lets us; again around files that do not.

Two kinds of file need another round. One that ends the process while being imported becomes a
collection error, and the others are collected. One after whose import forking is unsafe (CUDA
initialised, threads started) is left out of the zygote, and its tests get new interpreters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, overload

import pytest

from tonnage.errors import AgentError
from tonnage.execute import messages
from tonnage.execute.agent import Agent, FromZygote, ZygoteLost
from tonnage.units import plural

_MOST_CRASHING_FILES = 20
# Whoever imports a shared culprit first is blamed first, so excluding one file may only show the
# next. After this many rounds every test gets a new interpreter.
_MOST_SPOILED_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Collection:
    """What was collected.

    `told` holds reports, deselections and warnings in order. `is_complete` False: collection
    stopped before its end (`exit_status` says how the session ended). `zygote_index` is where
    the zygote keeps a test, by index in `tests`; a test without one needs a new interpreter. `said`
    is what the zygote's settled.SAID held.
    """

    tests: list[messages.CollectedTest]
    told: list[messages.Message]
    lines: list[str]
    is_complete: bool
    exit_status: int | None = None
    internal_error: str | None = None
    stop_reason: str | None = None
    zygote_index: dict[int, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)

    def locations(self) -> list[tuple[str, int | None, str]]:
        """Where each test is, as pytest says it: file, line from 0, name."""
        return [(path, line, name) for path, line, name in (each.location for each in self.tests)]


def collect(agent: Agent) -> Collection:
    """Wait for the collection that `agent` has begun, repeating it where files demand that.

    Raises pytest.UsageError as the collecting session did, AgentError when the process is lost
    and no file is to blame.
    """
    refused: dict[str, str] = {}
    while True:
        result = _await(agent)
        if not isinstance(result, _Crash):
            break
        if not result.path or result.path in refused or len(refused) >= _MOST_CRASHING_FILES:
            raise lost(result.how, agent.last_words())
        said = agent.last_words()
        reason = f"the process {result.how} while importing this file"
        refused[result.path] = f"{reason}:\n{said}" if said else reason
        agent.open(refused=refused)
    collection, hazards = result
    if not collection.is_complete:
        return collection
    return _around_hazards(agent, refused, collection, hazards)


def collect_again(
    agent: Agent, collection: Collection, is_interrupted: Callable[[], bool]
) -> Collection | None:
    """The same collection in a new zygote; None when interrupted before it is there.

    Raises AgentError when the suite does not collect again as it did.
    """
    agent.reopen()
    result = _await(agent, is_interrupted)
    if result is None:
        return None
    if isinstance(result, _Crash):
        raise lost(result.how, agent.last_words())
    again, _ = result
    place = {test.node_id: number for number, test in enumerate(again.tests)}
    old = collection.zygote_index
    if not all(collection.tests[number].node_id in place for number in old):
        raise lost("was lost, and the suite does not collect again as it did", agent.last_words())
    return replace(
        collection,
        zygote_index={number: place[collection.tests[number].node_id] for number in old},
    )


def lost(how: str, last_words: str) -> AgentError:
    """The error when the zygote is gone and no test file can be blamed."""
    said = f":\n{last_words}" if last_words else ""
    return AgentError(
        f"the process that collects and starts the tests {how}{said}",
        where="--pack",
        remedy="Run pytest without --pack to see whether collection survives there.",
    )


@dataclass(frozen=True, slots=True)
class _Crash:
    """The process ended while it imported `path` ("": nothing that we know of)."""

    path: str
    how: str


_Hazards = dict[str, list[str]]


@overload
def _await(agent: Agent) -> tuple[Collection, _Hazards] | _Crash: ...
@overload
def _await(
    agent: Agent, is_interrupted: Callable[[], bool]
) -> tuple[Collection, _Hazards] | _Crash | None: ...
def _await(
    agent: Agent, is_interrupted: Callable[[], bool] | None = None
) -> tuple[Collection, _Hazards] | _Crash | None:
    told: list[messages.Message] = []
    path = ""
    while True:
        arrivals = agent.wait(None)
        if is_interrupted is not None and is_interrupted():
            return None
        for arrival in arrivals:
            if isinstance(arrival, ZygoteLost):
                return _Crash(path, arrival.how)
            assert isinstance(arrival, FromZygote)
            message = arrival.message
            if isinstance(message, messages.Collecting):
                path = message.path
            elif isinstance(message, messages.CollectionFinished):
                index = {number: number for number in range(len(message.tests))}
                collection = Collection(
                    message.tests, told, message.lines, True, zygote_index=index, said=message.said
                )
                return collection, message.hazards
            elif isinstance(message, messages.SessionEnded):
                if message.usage_errors:
                    raise pytest.UsageError(*message.usage_errors)
                return (
                    Collection(
                        [],
                        told,
                        [],
                        False,
                        message.exit_status,
                        message.internal_error,
                        message.stop_reason,
                    ),
                    {},
                )
            else:
                told.append(message)
                if isinstance(message, messages.CollectReportMade):
                    path = ""


def _around_hazards(
    agent: Agent,
    refused: dict[str, str],
    collection: Collection,
    hazards: _Hazards,
) -> Collection:
    """Have a zygote that may be forked for as many tests as possible."""
    excluded: dict[str, list[str]] = {}
    files = {test.path for test in collection.tests}
    index = collection.zygote_index
    for _ in range(_MOST_SPOILED_ROUNDS):
        culprits = {path: why for path, why in hazards.items() if path in files}
        if not hazards or culprits.keys() != hazards.keys() or files <= excluded.keys():
            break  # nothing to do; a conftest or plugin did it; or no file is left
        excluded |= culprits
        if files <= excluded.keys():
            break
        agent.open(refused=refused, excluded=list(excluded))
        try:
            result = _await(agent)
        except pytest.UsageError:
            result = _Crash("", "refused its arguments")
        if isinstance(result, _Crash) or not result[0].is_complete:
            agent.open(refused=refused)
            _await(agent)
            break
        again, hazards = result
        place = {test.node_id: number for number, test in enumerate(again.tests)}
        index = {
            number: place[test.node_id]
            for number, test in enumerate(collection.tests)
            if test.node_id in place
        }
    if hazards:
        index = {}
    blamed = {**excluded, **hazards}
    notices = [_notice(path, why, collection) for path, why in blamed.items()]
    return replace(collection, zygote_index=index, notices=notices)


def _notice(path: str, why: list[str], collection: Collection) -> str:
    count = sum(test.path == path for test in collection.tests)
    if count:
        name = next(test.node_id for test in collection.tests if test.path == path)
        name = name.partition("::")[0]
        return (
            f"after importing {name} {why[0]}, so forking is unsafe: its {plural(count, 'test')} "
            "run in new interpreters, which is slower"
        )
    culprit = path or "the collection"
    return (
        f"after importing {culprit} {why[0]}, so forking is unsafe: all tests run in new "
        "interpreters, which is much slower"
    )
