"""How `# tonnage: ignore[CODE, ...]` is written, and taking it out of a line again. Pure."""

import re

IGNORE = re.compile(r"#\s*tonnage:\s*ignore\b(?:\s*\[(?P<codes>[^\]]*)\])?")


def without(line: str, column: int, code: str) -> str | None:
    """The line without one code of the comment that begins at a column (from 1).

    An empty code, or the last one, takes the whole comment away, and what is said beside it stays.
    Empty: nothing is left of the line. None: there is no such comment or code.
    """
    match = IGNORE.match(line, column - 1)
    if match is None:
        return None
    codes = re.findall(r"[^,\s]+", match["codes"] or "")
    if code and code not in codes:
        return None
    left = [each for each in codes if each != code]
    before, after = line[: match.start()], line[match.end() :]
    if code and left:
        return f"{before}# tonnage: ignore[{', '.join(left)}]{after}"
    rest = after.strip()
    if rest and not rest.startswith("#"):
        rest = f"# {rest}"
    if not before.strip():
        return before + rest if rest else ""
    return f"{before.rstrip()}  {rest}".rstrip()
