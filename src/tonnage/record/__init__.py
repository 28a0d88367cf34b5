"""What happened in a run, as values: the language between all rooms."""
