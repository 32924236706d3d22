"""`python -m sandbox.images build|archive|name`: the image that container sandboxes start from.

    build      make it, if it was not made before, and load it into the Docker engine
    archive    make it only, and print where the file is (for `docker load` elsewhere)
    name       print what it is called

Fetches packages with `apt-get` from the host's own sources; needs no rights but those to write the
cache and, for `build`, to reach the engine.
"""

import argparse
import sys
from pathlib import Path

from core.errors import DomainError
from sandbox.images import archive, local_tag

_CACHE = Path.home() / ".cache" / "agentry" / "images"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["build", "archive", "name"])
    parser.add_argument("--cache", type=Path, default=_CACHE, help=f"default {_CACHE}")
    parser.add_argument("--docker", help="default AGENTRY_SANDBOX_DOCKER")
    options = parser.parse_args()
    try:
        if options.action == "build":
            _load(archive.make(options.cache), options.docker)
        told = archive.make(options.cache) if options.action == "archive" else local_tag()
    except DomainError as error:
        print(f"{error.message} {error.remedy}".strip(), file=sys.stderr)
        return 1
    print(told)
    return 0


def _load(file: Path, url: str | None) -> None:
    from docker import APIClient
    from docker.errors import DockerException

    from core.env import Environment
    from sandbox.errors import SandboxUnavailableError

    address = url or Environment.of_process().text("AGENTRY_SANDBOX_DOCKER")
    try:
        client = APIClient(address, timeout=600)
        with file.open("rb") as stream:
            told = list(client.load_image(stream))
        client.close()
    except DockerException as error:
        raise SandboxUnavailableError(
            f"The image could not be loaded into the Docker engine at {address}: {error}.",
            remedy="Start the engine, or name its socket in AGENTRY_SANDBOX_DOCKER.",
        ) from error
    if problem := next((word["error"] for word in told if "error" in word), ""):
        raise SandboxUnavailableError(
            f"The Docker engine refused the image: {problem}.",
            remedy="See the log of the Docker daemon.",
        )


if __name__ == "__main__":
    sys.exit(main())
