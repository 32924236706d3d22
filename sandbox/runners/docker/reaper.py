"""Containers that nobody owns any more, found by their labels.

The places on this host name every container before it is made, and are cleaned first. What is left
for here is a container whose owner died while the engine was still making it.
"""

from sandbox.leases import Leases
from sandbox.runners.docker.engine import Container, Engine, EngineError
from sandbox.runners.docker.settings import LABEL_FOLDER, LABEL_GROUP, LABEL_PLACE


def reap_containers(engine: Engine, leases: Leases) -> list[str]:
    """Remove containers whose place is not held for them; returns a sentence for each.

    A host without an engine has none. Safe at any time: an owner holds its place from before its
    container is asked for until after it is gone.
    """
    if not engine.is_there:
        return []
    try:
        found = engine.containers(f"{LABEL_FOLDER}={leases.folder}")
    except EngineError as error:
        return [f"the Docker engine does not say which containers there are: {error}"]
    told = []
    for container in found:
        if _is_owned(container, leases):
            continue
        try:
            engine.remove(container.name)
        except EngineError as error:
            told.append(f"the container {container.name} is still there: {error}")
        else:
            told.append(f"the container {container.name} was taken away: nobody has its place")
    return told


def _is_owned(container: Container, leases: Leases) -> bool:
    place = container.labels.get(LABEL_PLACE, "")
    return place.isdecimal() and leases.is_held(int(place), container.labels.get(LABEL_GROUP, ""))
