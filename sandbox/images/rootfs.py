"""A root file system out of the distribution's packages, as one tar file, the same every time.

`apt` chooses the packages for an empty system and checks their signatures; `dpkg-deb` unpacks them.
No maintainer script is run, so what those would make is made here.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from sandbox.errors import SandboxUnavailableError
from sandbox.images import recipe

_SECONDS = 600.0
_MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_MADE_AT = "@1700000000"
_CERTIFICATES = "usr/share/ca-certificates/mozilla"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def make(cache: Path) -> Path:
    """Return the tar file of the root file system, made unless `cache` has it already.

    Raises:
        SandboxUnavailableError: A program is missing, or a package could not be fetched.
    """
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"rootfs-{recipe.digest()}.tar"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(prefix="agentry-image-", dir=cache) as place:
        work = Path(place)
        packages = _fetch(work)
        root = work / "root"
        _unpack(packages, root)
        _complete(root)
        _compile(root)
        made = work / "rootfs.tar"
        _pack(root, made)
        made.rename(target)
    return target


def content_digest(tar: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with tar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(work: Path) -> list[Path]:
    """Download the wanted packages and what they need, as for a system that has nothing."""
    archives = work / "archives"
    (archives / "partial").mkdir(parents=True)
    (work / "status").touch()
    options = [
        "-o", f"Dir::State::status={work / 'status'}",
        "-o", f"Dir::Cache::archives={archives}",
        "-o", "Debug::NoLocking=1",
        "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
    _run("apt-get", *options, "-qq", "-y", "--no-install-recommends", "--download-only",
         "install", *recipe.WANTED)  # fmt: skip
    return sorted(p for p in archives.glob("*.deb") if not p.name.startswith(recipe.LEFT_OUT))


def _unpack(packages: Sequence[Path], root: Path) -> None:
    """Unpack all below `root`, where /bin and the like are links into /usr."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        with _reading("dpkg-deb", "--fsys-tarfile", str(package)) as stream:
            _run("tar", "--extract", "--keep-directory-symlink", "--no-same-owner",
                 "--directory", str(root), stdin=stream)  # fmt: skip


def _complete(root: Path) -> None:
    """Take out what nobody reads, and make what maintainer scripts would have made."""
    for name in recipe.DROPPED:
        _remove(root / name)
    for name in _MERGED:
        if not any((root / "usr" / name).iterdir()):
            (root / "usr" / name).rmdir()
            (root / name).unlink()
    for name in recipe.FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name, content in recipe.FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for name, points_to in recipe.LINKS.items():
        if not (root / name).is_symlink():
            (root / name).symlink_to(points_to)
    certificates = sorted((root / _CERTIFICATES).glob("*.crt"))
    (root / _BUNDLE).parent.mkdir(parents=True, exist_ok=True)
    (root / _BUNDLE).write_bytes(b"".join(file.read_bytes() for file in certificates))
    for file in root.rglob("*"):
        if not file.is_symlink():
            file.chmod(file.stat().st_mode & 0o1777 | 0o444)  # nobody's rights are lent
    # A file system in memory takes its mode from the folder it is mounted on.
    (root / "run" / "secrets").chmod(0o700)


def _compile(root: Path) -> None:
    """Compile Python's library with the Python that was unpacked: its folder is read-only later."""
    folder = next((root / "usr" / "lib").glob("python3.*"))
    loader = next(iter(sorted((root / "usr").glob("lib*/ld-linux-*.so.*"))), None)
    if loader is None:
        raise SandboxUnavailableError(
            "The unpacked packages have no program loader.",
            remedy="Only Debian and its relatives are known to work; name an image instead.",
        )
    libraries = ":".join(str(p) for p in (root / "usr" / "lib").glob("*-linux-gnu"))
    _run(
        str(loader), "--library-path", libraries, str(root / "usr" / "bin" / folder.name),
        "-I", "-S", "-m", "compileall", "-q", "-s", str(root), "-p", "/",
        "--invalidation-mode", "unchecked-hash", str(folder),
        environment={"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0"},
    )  # fmt: skip


def _pack(root: Path, target: Path) -> None:
    _run("tar", "--create", f"--file={target}", f"--directory={root}", "--sort=name",
         "--owner=0", "--group=0", "--numeric-owner", f"--mtime={_MADE_AT}",
         "--format=gnu", ".")  # fmt: skip


def _remove(place: Path) -> None:
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)


@contextlib.contextmanager
def _reading(program: str, *arguments: str) -> Iterator[int]:
    """Give the output of a program as a descriptor; it has to end well."""
    with subprocess.Popen([_path(program), *arguments], stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise OSError("no pipe")
        yield process.stdout.fileno()
    if process.returncode != 0:
        raise SandboxUnavailableError(
            f"{program} {' '.join(arguments)} ended with status {process.returncode}.",
            remedy="Build the image again; `apt-get update` first if packages are old.",
        )


def _run(
    program: str,
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    environment: dict[str, str] | None = None,
) -> None:
    done = subprocess.run(
        [_path(program), *arguments],
        stdin=stdin,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
        env={"PATH": os.defpath + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **(environment or {})},
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout)[-600:].decode(errors="replace").strip()
        raise SandboxUnavailableError(
            f"The image could not be made: {Path(program).name}: {words}",
            remedy="Run `apt-get update` and try again, or name an image in AGENTRY_SANDBOX_IMAGE.",
        )


def _path(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise SandboxUnavailableError(
            f"{program} is not installed.",
            remedy="Build on Debian or a relative of it, or name an image in "
            "AGENTRY_SANDBOX_IMAGE.",
        )
    return found
