"""Where the console script begins.

`tonnage lint` runs at every save and commit, and the start of the other commands would take longer
than its answer: it has a way of its own, past typer and pytest.
"""

import sys


def main() -> None:
    """Run the command that the command line names, and exit with its status."""
    try:
        _run()
    except KeyboardInterrupt:  # while something is imported: later each command sees to it
        sys.exit(130)


def _run() -> None:
    if sys.argv[1:2] == ["lint"]:
        from tonnage.cli.lint import lint

        sys.exit(lint(sys.argv[2:]))
    from tonnage.cli.main import main as others

    others()
