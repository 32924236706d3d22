"""Sandboxes that a Docker engine makes: with the host's kernel (`docker`) or with gVisor's."""

from sandbox.runners.docker.engine import Engine
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.docker.kinds import DOCKER, GVISOR, Kind
from sandbox.runners.docker.reaper import reap_containers
from sandbox.runners.docker.runner import DockerRunner

__all__ = [
    "DOCKER",
    "GVISOR",
    "ContainerGroup",
    "DockerRunner",
    "Engine",
    "Kind",
    "reap_containers",
]
