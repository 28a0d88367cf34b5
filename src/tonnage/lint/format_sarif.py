"""SARIF 2.1.0, which code scanning services and editors read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tonnage import __version__
from tonnage.lint.model import Finding, Severity
from tonnage.lint.result import LintResult
from tonnage.lint.rule import Rule
from tonnage.lint.rules import RULES

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_ROOT = "ROOT"


def sarif(result: LintResult, root: str) -> str:
    """The findings as one run; paths are relative to `root`."""
    found = {finding.code for finding in result.findings}
    rules = [rule for rule in RULES if rule.code in found]
    numbers = {rule.code: number for number, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "tonnage lint",
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"uri": f"{Path(root).as_uri().rstrip('/')}/"}},
        "results": _results(result.findings, numbers),
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": f"Not so:\n\n{rule.bad}\n\nSo:\n\n{rule.good}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _results(findings: Sequence[Finding], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """The results. A fingerprint says neither line nor column, so that it outlives other edits."""
    seen: dict[str, int] = {}
    results = []
    for finding in findings:
        identity = "|".join((finding.code, finding.place.path, finding.test, finding.message))
        seen[identity] = seen.get(identity, 0) + 1
        results.append(
            {
                "ruleId": finding.code,
                "ruleIndex": numbers[finding.code],
                "level": _LEVELS[finding.severity],
                "message": {"text": _message(finding)},
                "locations": [_location(finding)],
                "partialFingerprints": {"finding/v1": f"{identity}|{seen[identity]}"},
            }
        )
    return results


def _message(finding: Finding) -> str:
    return f"{finding.message}\n{finding.remedy}" if finding.remedy else finding.message


def _location(finding: Finding) -> dict[str, Any]:
    place = finding.place
    region = {"startLine": place.line, "startColumn": place.column}
    if place.end_line and place.end_column:
        region |= {"endLine": place.end_line, "endColumn": place.end_column}
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(_encoded(place.path)), "uriBaseId": _ROOT},
            "region": region,
        }
    }
    if finding.test:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.test, "kind": "function"}]
    return location


def _encoded(path: str) -> bytes:
    """The path as the file system has it, where it is no valid UTF-8."""
    return path.encode("utf-8", "surrogateescape")
