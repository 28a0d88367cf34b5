"""Keeping secrets out of what is recorded of a command line. Pure."""

import re
from collections.abc import Sequence

REDACTED = "[redacted]"

# One of these among the words of an option's name makes its value a secret. Not `tokens`: suites
# for language models have many options that count them.
_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:token|passw(?:or)?d|passphrase|secret|credentials?|apikey"
    r"|(?:api|access|private|auth)[-_]?key)(?:$|[-_.])",
    re.IGNORECASE,
)
# Values that say themselves what they are: tokens of well-known services, JSON web tokens, and
# URLs with a password.
_SECRET_VALUE = re.compile(
    r"gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_\w{20,}|sk-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)


def redacted(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments with every value that looks like a secret replaced."""
    kept: list[str] = []
    is_secret = False
    for argument in arguments:
        if is_secret and not argument.startswith("-"):
            kept.append(REDACTED)
            is_secret = False
            continue
        name, has_value, value = argument.partition("=")
        names_secret = "/" not in name and "::" not in name and bool(_SECRET_NAME.search(name))
        is_secret = names_secret and not has_value and argument.startswith("--")
        if names_secret and has_value and value:
            kept.append(f"{name}={REDACTED}")
        else:
            kept.append(_SECRET_VALUE.sub(REDACTED, argument))
    return tuple(kept)
