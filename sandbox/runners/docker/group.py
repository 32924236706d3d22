"""A container as a group of processes: counted where the kernel counts, ended by the engine."""

from collections.abc import Sequence
from pathlib import Path

from sandbox.cgroups import Group
from sandbox.cgroups.nothing import NoGroup
from sandbox.contracts import Limits
from sandbox.runners.docker.engine import Engine, EngineError


class ContainerGroup:
    """See `sandbox.cgroups.Group`. The engine made it and takes it away."""

    def __init__(self, engine: Engine, name: str, counted: Group | None = None) -> None:
        self._engine = engine
        self._name = name
        self._counted = counted or NoGroup()
        self.was_killed = False

    @property
    def folders(self) -> Sequence[Path]:
        return self._counted.folders

    def create(self, limits: Limits) -> None:
        """Make nothing: the engine has."""

    def processes(self) -> list[int]:
        return self._counted.processes()

    def out_of_memory(self) -> int:
        return self._counted.out_of_memory()

    def peak_memory_bytes(self) -> int:
        return self._counted.peak_memory_bytes()

    def kill(self) -> None:
        """Raises OSError."""
        self.was_killed = True
        try:
            self._engine.kill(self._name)
        except EngineError as error:
            raise OSError(f"the container {self._name} could not be ended: {error}") from error

    def remove(self) -> None:
        """Raises OSError."""
        try:
            self._engine.remove(self._name)
        except EngineError as error:
            raise OSError(f"the container {self._name} could not be removed: {error}") from error
