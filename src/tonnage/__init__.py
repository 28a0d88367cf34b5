"""Tonnage: a GPU-aware test platform.

Loading the pytest plugin runs this file, so it holds the version and imports nothing.

PYTEST_DONT_REWRITE: our processes import this before pytest could, and no assertion of ours is a
test's.
"""

__version__ = "0.1.0"
