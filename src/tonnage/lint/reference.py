"""The rules as documentation: for `tonnage rule CODE`, and the page that cannot drift from them."""

from tonnage.lint.rule import Rule
from tonnage.lint.rules import RULES

_FAMILIES = {
    "TNG1": "Markers",
    "TNG2": "Time",
    "TNG3": "Parallel",
    "TNG4": "Flaky",
    "TNG5": "Places and names",
    "TNG6": "Rust",
    "TNG9": "Reading",
}


def rule_text(rule: Rule) -> str:
    """One rule in full, for a terminal."""
    parts = [
        f"{rule.code} {rule.name} ({', '.join(_attributes(rule))})",
        rule.summary,
        rule.explanation,
        f"Not so:\n\n{_indented(rule.bad)}",
        f"So:\n\n{_indented(rule.good)}",
    ]
    if rule.keys:
        parts.append(f"Configured in [tool.tonnage.lint] by {', '.join(rule.keys)}.")
    return "\n\n".join(parts)


def rules_table() -> str:
    """All rules, one row each, as a Markdown table."""
    rows = ["| code | name | weight | what it finds |", "|---|---|---|---|"]
    rows += [
        f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | {rule.severity.value} "
        f"| {rule.summary} |"
        for rule in RULES
    ]
    return "\n".join(rows)


def rules_in_full() -> str:
    """All rules in full, as Markdown, by family."""
    parts: list[str] = []
    for prefix, title in _FAMILIES.items():
        parts.append(f"## {title}")
        parts += [_section(rule) for rule in RULES if rule.code.startswith(prefix)]
    return "\n\n".join(parts)


def _section(rule: Rule) -> str:
    language = "text" if "\n" not in rule.bad else rule.language
    parts = [
        f"### {rule.code} {rule.name}",
        f"{rule.summary} *({', '.join(_attributes(rule))})*",
        rule.explanation,
        f"Not so:\n\n```{language}\n{rule.bad}\n```",
        f"So:\n\n```{language}\n{rule.good}\n```",
    ]
    if rule.keys:
        keys = ", ".join(f"`{key}`" for key in rule.keys)
        parts.append(f"Configured by {keys}.")
    return "\n\n".join(parts)


def _attributes(rule: Rule) -> list[str]:
    return [rule.severity.value, *(["fixable"] if rule.fixable else [])]


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
