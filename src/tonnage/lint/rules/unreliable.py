"""TNG401-404: tests that are known to be flaky have a ticket, an end and an honest mark."""

import re
from collections.abc import Iterator
from datetime import date

from tonnage.lint.context import Context
from tonnage.lint.declared import all_marks, is_read, own_path, own_target, text_of
from tonnage.lint.model import UNREAD, DeclaredTest, Edit, Level, PlacedMark, Severity
from tonnage.lint.rule import Found, Rule
from tonnage.markers.marks import MarkValue

_FLAKY = re.compile(r"\bflak(y|ey|iness|es|ing)\b", re.IGNORECASE)
# What machines and networks say when they fail, and tests when a service is not there.
_INFRASTRUCTURE = (
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "ConnectionError: HTTPConnectionPool: Max retries exceeded",
    "RuntimeError: Engine core initialization failed",
    "OSError: [Errno 98] Address already in use",
    "RuntimeError: NCCL error: unhandled system error",
    "subprocess.CalledProcessError: process exited with code -9",
)


def _without_ticket(test: DeclaredTest, context: Context) -> Iterator[Found]:
    for mark in all_marks(test):
        reason = _flaky_reason(mark)
        if reason is not None and not re.search(context.settings.ticket, reason):
            yield Found(
                f"{mark.value.name} for flakiness without a ticket",
                mark.place,
                "File one, and name it in the reason.",
            )
        elif mark.value.name == context.vocabulary.name_of("quarantine"):
            if "ticket" in mark.value.kwargs or mark.value.args:
                continue
            yield Found(
                "quarantine without a ticket", mark.place, "Add ticket= with a link or number."
            )


def _strict(test: DeclaredTest, context: Context) -> Iterator[Found]:
    for mark in all_marks(test):
        if mark.value.name != "xfail" or _flaky_reason(mark) is None:
            continue
        strict = mark.value.kwargs.get("strict")
        if strict is False or strict is UNREAD:
            continue
        yield Found(
            "xfail for flakiness without strict=False",
            mark.place,
            "Add strict=False: a flaky test passes at times.",
            _not_strict(test, mark, context),
        )


def _not_strict(test: DeclaredTest, mark: PlacedMark, context: Context) -> tuple[Edit, ...]:
    target = own_target(test)
    old = text_of(mark.value)
    kwargs = {**mark.value.kwargs, "strict": False}
    new = text_of(MarkValue("xfail", mark.value.args, kwargs))
    if target is None or mark.level is not Level.TEST or old is None or new is None:
        return ()
    is_safe = "strict" not in mark.value.kwargs and not context.xfail_strict
    return (Edit(own_path(test), target, (old,), (new,), safe=is_safe),)


def _expired(test: DeclaredTest, context: Context) -> Iterator[Found]:
    for mark in all_marks(test):
        if mark.value.name != context.vocabulary.name_of("quarantine"):
            continue
        until = mark.value.kwargs.get("until")
        if until is None or not is_read(until):
            continue
        end = _date(until)
        if end is None:
            yield Found(
                f"quarantine until {until!r}, which is no date",
                mark.place,
                "Write it as YYYY-MM-DD.",
            )
        elif end < context.today:
            yield Found(
                f"quarantine ended on {end.isoformat()}",
                mark.place,
                "Mend the test, or delete it and write it anew.",
            )


def _reruns(test: DeclaredTest, context: Context) -> Iterator[Found]:
    for mark in all_marks(test):
        if mark.value.name != context.vocabulary.name_of("flaky"):
            continue
        given = mark.value.kwargs
        if "reruns" not in given and not mark.value.args:
            continue
        if not is_read(given.get("only_rerun")) or "condition" in given:
            continue
        if "only_rerun" not in given:
            if "rerun_except" not in given:
                yield Found(
                    "flaky runs the test again after any error, also one of the machine",
                    mark.place,
                    "Name the errors that may be chance with only_rerun=.",
                )
            continue
        texts = [text for pattern in _patterns(given["only_rerun"]) for text in _matched(pattern)]
        if texts:
            yield Found(
                f'flaky runs the test again after "{texts[0].partition(": ")[0]}", '
                "which is the machine's error or hides the product's",
                mark.place,
                "Take the pattern out of only_rerun.",
            )


def _flaky_reason(mark: PlacedMark) -> str | None:
    """The reason of a skip or xfail that speaks of flakiness."""
    if mark.value.name not in ("skip", "skipif", "xfail"):
        return None
    reason = mark.value.kwargs.get("reason")
    if reason is None and mark.value.name == "skip" and mark.value.args:
        reason = mark.value.args[0]
    return reason if isinstance(reason, str) and _FLAKY.search(reason) else None


def _date(value: object) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _patterns(value: object) -> list[str]:
    values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    return [each for each in values if isinstance(each, str)]


def _matched(pattern: str) -> list[str]:
    try:
        return [text for text in _INFRASTRUCTURE if re.search(pattern, text)]
    except re.error:
        return []


RULES = (
    Rule(
        "TNG401",
        "flaky-without-ticket",
        Severity.WARNING,
        "A test is skipped, expected to fail or quarantined for flakiness, without a ticket.",
        "What has no owner stays so for ever. A ticket is a link, #123 or ABC-123, or what "
        "`ticket` says.",
        '@pytest.mark.skip(reason="flaky")\ndef test_router(): ...',
        '@pytest.mark.skip(reason="flaky: GPU-123")\ndef test_router(): ...',
        of_test=_without_ticket,
        keys=("ticket",),
    ),
    Rule(
        "TNG402",
        "flaky-xfail-strict",
        Severity.WARNING,
        "A flaky test is expected to fail, without strict=False.",
        "Where `xfail_strict` is set, or comes to be, every pass of the test fails the run.",
        '@pytest.mark.xfail(reason="flaky: GPU-123")\ndef test_router(): ...',
        '@pytest.mark.xfail(reason="flaky: GPU-123", strict=False)\ndef test_router(): ...',
        of_test=_strict,
        fixable=True,
    ),
    Rule(
        "TNG403",
        "quarantine-expired",
        Severity.ERROR,
        "A quarantine is past its date.",
        "The date was set so that somebody decides: mend the test, or delete it.",
        '@pytest.mark.quarantine(ticket="GPU-123", until="2024-01-31")\ndef test_router(): ...',
        "def test_router(): ...",
        of_test=_expired,
    ),
    Rule(
        "TNG404",
        "reruns-of-infrastructure-errors",
        Severity.WARNING,
        "A test is run again after an error of the machine.",
        "Out of memory, a lost connection or an engine that does not start are failures of the "
        "machine or of the product. Run again until they vanish, they are never seen.",
        '@pytest.mark.flaky(reruns=2, only_rerun=["CUDA out of memory"])\ndef test_router(): ...',
        '@pytest.mark.flaky(reruns=2, only_rerun=["logprobs differ"])\ndef test_router(): ...',
        of_test=_reruns,
    ),
)
