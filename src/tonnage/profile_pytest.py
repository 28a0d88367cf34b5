"""`python -m tonnage.profile_pytest`: the profiler under the flags of the script it grew out of.

`--no-find-min-vram`, `--interval`, `--baseline-seconds`, `--teardown-seconds`, `--csv` and
`--no-recommend` mean what they mean there, and everything else goes to pytest. The command is
`tonnage profile`, whose other options work here too.
"""

import sys

from tonnage.cli.main import main as tonnage


def main() -> None:
    """Run `tonnage profile` with this command line."""
    sys.argv[1:1] = ["profile"]
    tonnage()


if __name__ == "__main__":
    main()
