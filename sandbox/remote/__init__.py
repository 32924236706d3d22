"""The near end of the sandbox worker: runners and sessions that live in another process."""

from sandbox.remote.child import ChildWorker
from sandbox.remote.runner import Locate, RemoteRunner, RemoteSandboxes, at

__all__ = ["ChildWorker", "Locate", "RemoteRunner", "RemoteSandboxes", "at"]
