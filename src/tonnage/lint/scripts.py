"""Shell scripts that set the GPU mask by hand: the launch scripts of engines, mostly."""

import re
from collections.abc import Iterable
from pathlib import Path

from tonnage.lint.check import finding_of, in_order
from tonnage.lint.context import Context
from tonnage.lint.elsewhere import Elsewhere, is_silenced, shown
from tonnage.lint.model import Finding, Place
from tonnage.lint.rule import Found, Rule
from tonnage.lint.rules.sharing import MASK, MASK_REMEDY, MASK_RULE

# What is computed, as in `=${GPUS}`, may well come from the mask that the test was given.
_SET = re.compile(rf"""^(?!\s*\#)(?:.*[\s;&(])?(?P<set>{MASK}=["']?(?P<value>\d[\d,]*)["']?)""")
_LARGEST_BYTES = 1_000_000


def check_scripts(
    elsewhere: Elsewhere, root: Path, context: Context, selected: Iterable[Rule]
) -> tuple[Finding, ...]:
    """The findings in these scripts."""
    rule = next((rule for rule in selected if rule.code == MASK_RULE), None)
    if rule is None:
        return ()
    findings: list[Finding] = []
    for script in elsewhere.scripts:
        lines = _lines(script)
        for number, line in enumerate(lines, 1):
            match = _SET.match(line) if MASK in line else None
            if match is None or is_silenced(lines, number, rule.code):
                continue
            place = Place(
                shown(script, root), number, match.start("set") + 1, number, match.end("set") + 1
            )
            found = Found(f"{MASK} is set to {match['value']} by hand", place, MASK_REMEDY)
            findings.append(finding_of(rule, found, context, None))
    return in_order(findings)


def _lines(script: Path) -> list[str]:
    try:
        if script.stat().st_size > _LARGEST_BYTES:
            return []
        return script.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
