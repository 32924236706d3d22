"""Rows of agents and their work; one noun a file."""

from agents.models.agent import Agent, AgentVersion
from agents.models.edit import RunEdit
from agents.models.history import Checkpoint, Message
from agents.models.price import ModelPrice, PriceList
from agents.models.provider import Model, ModelRoute, Provider
from agents.models.run import Run, RunSnapshot
from agents.models.saved_filter import SavedFilter
from agents.models.session import Session
from agents.models.worker import Worker
from agents.models.workspace import WorkspaceHead

__all__ = [
    "Agent",
    "AgentVersion",
    "Checkpoint",
    "Message",
    "Model",
    "ModelPrice",
    "ModelRoute",
    "PriceList",
    "Provider",
    "Run",
    "RunEdit",
    "RunSnapshot",
    "SavedFilter",
    "Session",
    "Worker",
    "WorkspaceHead",
]
