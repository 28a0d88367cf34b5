"""Findings as data and back, and a run's result as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tonnage.lint.model import Edit, Finding, IgnoredCode, Place, Severity
from tonnage.lint.result import LintResult


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding as JSON can say it."""
    return {**asdict(finding), "severity": finding.severity.value}


def finding_from(data: Mapping[str, Any]) -> Finding:
    """The finding that `as_data` gave."""
    return Finding(
        code=data["code"],
        message=data["message"],
        place=Place(**data["place"]),
        severity=Severity(data["severity"]),
        test=data["test"],
        remedy=data["remedy"],
        edits=tuple(
            Edit(
                edit["path"],
                tuple(edit["target"]),
                tuple(edit["remove"]),
                tuple(edit["add"]),
                edit["safe"],
            )
            for edit in data["edits"]
        ),
        unused=None if data["unused"] is None else IgnoredCode(**data["unused"]),
    )


def as_json(result: LintResult, root: str) -> str:
    """The result; paths are relative to `root`."""
    document = {
        "root": root,
        "tests": result.tests,
        "files": result.files,
        "accepted": result.accepted,
        "fixed": result.fixed or 0,
        "statistics": dict(result.by_code()),
        "silent": list(result.silent),
        "findings": [as_data(finding) for finding in result.findings],
    }
    return json.dumps(document, indent=2) + "\n"
