"""Workflow commands, which GitHub Actions shows as annotations of the changed lines."""

from tonnage.lint.model import Finding, Severity
from tonnage.lint.result import LintResult

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def github(result: LintResult) -> str:
    """One command a finding, nothing when there is none."""
    return "".join(f"{_command(finding)}\n" for finding in result.findings)


def _command(finding: Finding) -> str:
    place = finding.place
    properties = {"file": place.path, "line": str(place.line), "col": str(place.column)}
    if place.end_line:
        properties["endLine"] = str(place.end_line)
    # GitHub takes the end of the columns into account where all is on one line.
    if place.end_column and place.end_line == place.line:
        properties["endColumn"] = str(place.end_column)
    properties["title"] = f"tonnage {finding.code}"
    said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    message = f"{finding.message}\n{finding.remedy}" if finding.remedy else finding.message
    return f"::{_COMMANDS[finding.severity]} {said}::{_message(message)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
