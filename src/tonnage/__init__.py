"""Tonnage: a GPU-aware test platform.

Loading the pytest plugin runs this file, so it holds the version and imports nothing.
"""

__version__ = "0.1.0"
