"""pytest's reports as events of the record: the phases that did more than pass, kept short."""

from collections.abc import Iterable, Iterator
from typing import Any

from tonnage.record.events import ReportRecorded

# What a journal keeps of one text. Beyond it the two ends remain: a failure is told by how it
# began and how it ended.
_TEXT_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 4 * 1024
# Of all texts of a run together. What comes later is kept as its message alone.
_RUN_LIMIT = 64 * 1024 * 1024


class ReportTexts:
    """Turns reports into events, within a limit for the whole run."""

    def __init__(self) -> None:
        self._left = _RUN_LIMIT

    def of(
        self, at_s: float, node_id: str, attempt: int, reports: Iterable[Any]
    ) -> Iterator[ReportRecorded]:
        """The events of one attempt's reports, or of a file's that could not be collected."""
        for report in reports:
            xfail = getattr(report, "wasxfail", None)
            properties = getattr(report, "user_properties", None)
            if report.outcome != "passed" or xfail is not None or properties:
                yield self._event(report, at_s, node_id, attempt, xfail, properties or ())

    def _event(
        self,
        report: Any,
        at_s: float,
        node_id: str,
        attempt: int,
        xfail: str | None,
        properties: Iterable[tuple[str, object]],
    ) -> ReportRecorded:
        place = None
        if isinstance(report.longrepr, tuple):
            path, line, text = report.longrepr
            place, message = (str(path), int(line)), text
        else:
            text = report.longreprtext
            crash = getattr(report.longrepr, "reprcrash", None)
            message = text if crash is None else crash.message
        sections = () if report.outcome == "passed" else report.sections
        return ReportRecorded(
            at_s=at_s,
            node_id=node_id,
            attempt=attempt,
            phase=getattr(report, "when", None) or "collect",
            outcome=report.outcome,
            duration_s=float(getattr(report, "duration", 0.0)),
            text=self._taken(text),
            message=_shortened(message, _MESSAGE_LIMIT),
            place=place,
            xfail=xfail,
            sections=tuple((title, self._taken(content)) for title, content in sections),
            properties=tuple(
                (str(name), _shortened(str(value), _MESSAGE_LIMIT)) for name, value in properties
            ),
        )

    def _taken(self, text: str) -> str:
        kept = _shortened(text, min(_TEXT_LIMIT, self._left))
        self._left -= min(len(kept), self._left)
        return kept


def _shortened(text: str, limit: int) -> str:
    """`text`, or its two ends around a line that says how much is left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    omitted = f"\n[... {len(text) - 2 * half} characters left out of the record ...]\n"
    return text[:half] + omitted + (text[-half:] if half else "")
