"""Running tests: the controller, the agent of a machine, the zygote and its children."""
