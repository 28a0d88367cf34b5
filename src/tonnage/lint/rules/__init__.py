"""All rules, in the order of their codes."""

from tonnage.lint.rule import Rule
from tonnage.lint.rules import (
    chance,
    contradictions,
    names,
    places,
    reading,
    repeated,
    required,
    rust,
    sharing,
    timeouts,
    unreliable,
    vram,
)

_FAMILIES = (
    required,
    contradictions,
    vram,
    names,
    repeated,
    timeouts,
    sharing,
    unreliable,
    chance,
    places,
    rust,
    reading,
)

RULES: tuple[Rule, ...] = tuple(
    sorted((rule for family in _FAMILIES for rule in family.RULES), key=lambda rule: rule.code)
)
