"""A suite shaped after a published GPU job, written and run packed on a simulated card."""
