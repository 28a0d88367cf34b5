"""Findings that a project accepts for now: kept in a file, left out of what is reported.

A finding is known again by rule, file, test and message, so that lines may move. Where several are
alike, as many are accepted as there were.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tonnage.errors import ConfigError
from tonnage.lint.model import Finding

_FORMAT = "tonnage lint baseline 1"


@dataclass(frozen=True, slots=True, order=True)
class Accepted:
    """What findings that are alike have in common. `path` is from the root."""

    path: str
    code: str
    test: str
    message: str


Baseline = Counter[Accepted]
"""How many findings of each kind are accepted."""


def accepted(finding: Finding) -> Accepted:
    """What makes this finding known again."""
    return Accepted(finding.place.path, finding.code, finding.test, finding.message)


def split(findings: Iterable[Finding], baseline: Baseline) -> tuple[tuple[Finding, ...], int]:
    """The findings that are new, and how many were accepted."""
    left = Counter(baseline)
    new = []
    known = 0
    for finding in findings:
        kind = accepted(finding)
        if left[kind] > 0:
            left[kind] -= 1
            known += 1
        else:
            new.append(finding)
    return tuple(new), known


def updated(
    baseline: Baseline, findings: Iterable[Finding], was_checked: Callable[[Accepted], bool]
) -> Baseline:
    """The baseline that accepts these findings and, of what was not checked now, what it did."""
    kept = Counter({kind: count for kind, count in baseline.items() if not was_checked(kind)})
    return kept + Counter(map(accepted, findings))


def baseline_text(baseline: Baseline) -> str:
    """The baseline as a file's content: one line a kind, so that versions compare well."""
    lines = [json.dumps(_as_data(kind, count)) for kind, count in sorted(baseline.items())]
    inside = ",\n".join(f"    {line}" for line in lines)
    body = f"[\n{inside}\n  ]" if lines else "[]"
    return f'{{\n  "format": {json.dumps(_FORMAT)},\n  "findings": {body}\n}}\n'


def parse_baseline(text: str, where: str) -> Baseline:
    """The baseline of a file's content. Raises ConfigError where it is none."""
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError("unknown format")  # noqa: TRY301 - every flaw ends in one message
        return Counter(dict(map(_from_data, document["findings"])))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "is no baseline of tonnage lint",
            where=where,
            remedy="Write it anew with --update-baseline, or name another file.",
        ) from error


def _as_data(kind: Accepted, count: int) -> dict[str, Any]:
    data: dict[str, Any] = {"path": kind.path, "code": kind.code}
    if kind.test:
        data["test"] = kind.test
    data["message"] = kind.message
    if count > 1:
        data["count"] = count
    return data


def _from_data(data: dict[str, Any]) -> tuple[Accepted, int]:
    texts: Sequence[Any] = (data["path"], data["code"], data.get("test", ""), data["message"])
    count = data.get("count", 1)
    if not all(isinstance(text, str) for text in texts) or not isinstance(count, int):
        raise TypeError("not the types of a baseline")
    return Accepted(*texts), count
