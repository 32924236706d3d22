"""The embedded site with the demo's team: a process to be asked, killed and started again.

python -m tests.e2e.client.server FOLDER PORT     # prints {"url": …, "token": …} when it serves
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class SiteProcess:
    """One site on one folder; after `kill` and `start` it is the same site at the same address.

    `log` takes its standard error; `variables` are added to its environment.
    """

    def __init__(self, folder: Path, *, log: Path | None = None, **variables: str) -> None:
        self._folder = folder
        self._log = log
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port: int = listener.getsockname()[1]
        self.url = self.token = ""

    def start(self) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AGENTRY_") and name not in {"DATABASE_URL", "REDIS_URL"}
        }
        words = None if self._log is None else self._log.open("a")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.e2e.client.server"),
                *(str(self._folder), str(self._port)),
            ],
            cwd=ROOT,
            env=inherited
            | {
                "AGENTRY_DATA_DIR": str(self._folder / "data"),
                "AGENTRY_ENGINE": "embedded",
                "AGENTRY_LOG_LEVEL": "WARNING",
                "DJANGO_SETTINGS_MODULE": "agentry_site.settings.base",
            }
            | self._variables,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
        )
        if words is not None:
            words.close()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The site ended at its start with {self._process.wait()}.")
        told = json.loads(line)
        self.url, self.token = told["url"], told["token"]

    def kill(self) -> None:
        """End the process as a crash does: nothing in it gets to say goodbye."""
        assert self._process is not None
        self._process.kill()
        self._gone()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._gone()

    def _gone(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.wait(20)
        self._process.stdout.close()
        self._process = None


# --- the process --------------------------------------------------------------------------------


def main() -> None:
    import django

    django.setup()
    import uvicorn
    from django.core.management import call_command

    from agentry_site.demo import demo_prepare
    from agentry_site.serving import server_config

    known, port = Path(sys.argv[1]) / "demo.json", int(sys.argv[2])
    call_command("migrate", verbosity=0)
    demo = demo_prepare(url=f"http://127.0.0.1:{port}", known=known)
    demo.write(known)
    server = uvicorn.Server(server_config(host="127.0.0.1", port=port))

    def tell() -> None:
        while not server.started:
            time.sleep(0.02)
        sys.stdout.write(json.dumps({"url": demo.url, "token": demo.token}) + "\n")
        sys.stdout.flush()

    threading.Thread(target=tell, name="tell", daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
