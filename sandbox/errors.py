"""Failures of sandboxes.

SandboxRefusedError        what was asked for cannot be held here; nothing ran
SandboxUnavailableError    the engine asked for is missing or does not work on this host
  SandboxCrowdedError      as many sandboxes are open as this host may have
SandboxBusyError           another session has the workspace
SandboxLostError           the session ended; what its last call did is unknown
SnapshotGoneError          the files a snapshot names are not kept (any more)
WorkspaceTooLargeError     a workspace holds more than may be kept of it
UnsafePathError            a path of a workspace leads elsewhere or is no plain file
"""

from core.errors import ConflictError, DomainError, UnavailableError


class SandboxRefusedError(DomainError):
    """The sandbox asked for cannot be held on this host; nothing ran.

    Ask for limits the engine can hold, or for an engine that holds them; `manage.py sandbox doctor`
    says which.
    """

    code = "sandbox_refused"
    status = 422


class SandboxUnavailableError(UnavailableError):
    """The isolation asked for is missing on this host or does not start; nothing ran.

    Install what the sentence names, or ask for another engine; nothing weaker is used instead.
    """

    code = "sandbox_unavailable"


class SandboxCrowdedError(SandboxUnavailableError):
    """As many sandboxes are open as the sandbox worker may have, and none closed in time.

    Try again later, close sandboxes that are idle, or raise AGENTRY_SANDBOX_AT_MOST.
    """

    code = "sandbox_crowded"


class SandboxBusyError(ConflictError):
    """Another sandbox has this workspace; two at once would undo each other's files.

    Wait until the other one is closed.
    """

    code = "sandbox_busy"


class SandboxLostError(DomainError):
    """The sandbox ended before it answered; what the call did in its workspace is unknown.

    Look at the workspace; open a new sandbox for further calls.
    """

    code = "sandbox_lost"
    status = 502


class UnsafePathError(DomainError):
    """The path leads out of the workspace, through a link, or to something that is no plain file.

    Name a plain file below the workspace.
    """

    code = "unsafe_path"
    status = 422


class SnapshotGoneError(DomainError):
    """The files that a snapshot names are not kept any more, or are damaged; nothing was restored.

    Choose a later checkpoint, or start without the files.
    """

    code = "snapshot_gone"
    status = 409


class WorkspaceTooLargeError(DomainError):
    """The workspace holds more than its quota; it was not snapshotted.

    Delete files in it, or raise AGENTRY_WORKSPACE_BYTES or AGENTRY_WORKSPACE_FILES.
    """

    code = "workspace_too_large"
    status = 422
