"""The process that owns the engines: it alone makes sandboxes, and is reached by a Unix socket."""

from sandbox.worker.server import Setting, Worker, serve

__all__ = ["Setting", "Worker", "serve"]
