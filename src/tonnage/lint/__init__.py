"""Checking test files against the marker contract, without importing them."""
