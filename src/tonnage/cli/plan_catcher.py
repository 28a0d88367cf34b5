"""Taking the plan out of a dry run's session."""

from typing import Any

import pytest

from tonnage.execute.plan import plan_json
from tonnage.plugin.dry_run import DryRunPlugin


class PlanCatcher:
    """A plugin that keeps the plan of the session it is in; None when there was none."""

    def __init__(self) -> None:
        self.plan: dict[str, Any] | None = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for plugin in session.config.pluginmanager.get_plugins():
            if isinstance(plugin, DryRunPlugin) and plugin.plan is not None:
                self.plan = plan_json(plugin.plan)
