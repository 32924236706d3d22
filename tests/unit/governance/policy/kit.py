"""Calls to be judged, made in one line."""

from collections.abc import Mapping
from typing import Any

from governance.policy.contracts import PolicyAgent, PolicyInput, PolicySubject, PolicyTool


def call(
    tool: str = "shell",
    *,
    effect: str = "read",
    privileged: bool = False,
    user: str = "ada",
    groups: tuple[str, ...] = (),
    roles: tuple[str, ...] = (),
    surface: str = "agent",
    agent: str = "helper",
    workspace: str = "default",
    arguments: Mapping[str, Any] | None = None,
    hosts: tuple[str, ...] = (),
    paths: tuple[str, ...] = (),
) -> PolicyInput:
    return PolicyInput(
        subject=PolicySubject(user=user, groups=groups, roles=roles, surface=surface),
        workspace=workspace,
        agent=PolicyAgent(name=agent, version="1"),
        tool=PolicyTool(name=tool, effect=effect, privileged=privileged),
        arguments=dict(arguments or {}),
        hosts=hosts,
        paths=paths,
        run_id="run-1",
    )
