"""Recorded events to text: one format a file, no format knows another."""
