"""Make the environment the peers run in: apart from ours, at pinned versions with hashes.

Their libraries pull in what we do not want in our own lock file, and ours must not change what
they are measured with.

    python tests/bench/peers/setup.py          make or update .run/bench-peers
    python tests/bench/peers/setup.py --lock   read requirements.in again, write requirements.txt
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ENVIRONMENT = ROOT / ".run" / "bench-peers"
PYTHON = ENVIRONMENT / "bin" / "python"
_INSTALLED = ENVIRONMENT / "installed.txt"


def lock(uv: str) -> None:
    """Pin everything requirements.in asks for, with hashes, for every platform."""
    command = [uv, "pip", "compile", "requirements.in", "--output-file", "requirements.txt"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    subprocess.run(command, cwd=HERE, check=True)


def install(uv: str) -> None:
    """Bring the environment to exactly what requirements.txt says; quick when it is there."""
    wanted = f"{sys.version}\n{(HERE / 'requirements.txt').read_text()}"
    if _INSTALLED.is_file() and _INSTALLED.read_text() == wanted:
        return
    subprocess.run(
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT], check=True
    )
    subprocess.run(
        [uv, "pip", "sync", "--quiet", "--require-hashes", HERE / "requirements.txt"],
        env=os.environ | {"VIRTUAL_ENV": str(ENVIRONMENT)},
        check=True,
    )
    _INSTALLED.write_text(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the environment of the bench peers.")
    parser.add_argument("--lock", action="store_true", help="pin requirements.in anew first")
    arguments = parser.parse_args()
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        sys.exit("uv is not installed; `make install` puts it into .venv/bin")
    try:
        if arguments.lock:
            lock(uv)
        install(uv)
    except subprocess.CalledProcessError as error:
        sys.exit(f"making {ENVIRONMENT.relative_to(ROOT)} failed: {error}")


if __name__ == "__main__":
    main()
