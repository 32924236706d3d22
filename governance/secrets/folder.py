"""Secrets as files of one folder, as Kubernetes and Docker mount them.

One line break at the end of a file is not part of the value. A link may lead to another place in
the folder, which is how Kubernetes replaces all files at once, and nowhere else.
"""

from pathlib import Path

from governance.secrets.places import SecretPlace
from governance.secrets.source import unreadable

MAX_BYTES = 128 * 1024


class FolderSource:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def read(self, place: SecretPlace) -> str:
        if not self._folder:
            raise unreadable(
                place, "AGENTRY_SECRETS_DIR names no folder", "Set it to the folder of the files."
            )
        folder = Path(self._folder).resolve()
        try:
            path = (folder / place.path).resolve(strict=True)
            if not path.is_relative_to(folder):
                raise unreadable(
                    place, "it is a link out of the folder", "Put the file into the folder."
                )
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise unreadable(
                place,
                f"{error.strerror or 'it cannot be opened'} ({folder})",
                "Put a file of this name into the folder, readable for the workers.",
            ) from None
        if len(content) > MAX_BYTES:
            raise unreadable(place, f"it is larger than {MAX_BYTES} bytes", "Make it smaller.")
        try:
            value = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise unreadable(place, "it is not UTF-8 text", "Encode it, in Base64 say.") from None
        if not value:
            raise unreadable(place, "the file is empty", "Write the value into it.")
        return value
