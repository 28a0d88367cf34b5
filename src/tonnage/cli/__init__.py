"""The `tonnage` command: one file per command group; parse, call one function, print."""
