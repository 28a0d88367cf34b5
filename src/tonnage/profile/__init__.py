"""Measuring what a test needs, and writing it into its markers."""
