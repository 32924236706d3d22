"""Sandboxes that a Docker engine makes: with the host's kernel (`docker`) or with gVisor's."""

from sandbox.runners.docker.engine import Engine
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.docker.reaper import reap_containers
from sandbox.runners.docker.runner import DockerRunner, GvisorRunner

__all__ = ["ContainerGroup", "DockerRunner", "Engine", "GvisorRunner", "reap_containers"]
