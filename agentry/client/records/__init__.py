"""What the server says, typed and frozen; one module a subject."""

from agentry.client.records.account import (
    Me,
    Token,
    User,
    WorkspaceAccess,
)
from agentry.client.records.approvals import (
    Approval,
    ArgumentDifference,
    Evidence,
    EvidencePlace,
    EvidenceSource,
    SimilarDecision,
    Vote,
)
from agentry.client.records.base import (
    Difference,
    Page,
    Record,
)
from agentry.client.records.catalogue import (
    Agent,
    AgentVersion,
    Model,
    Provider,
    Secret,
    Session,
    Tool,
)
from agentry.client.records.channels import (
    Channel,
    Delivery,
)
from agentry.client.records.documents import (
    Applied,
    Change,
)
from agentry.client.records.grants import (
    Delegation,
    Grant,
    GrantProposal,
    GrantUse,
)
from agentry.client.records.history import (
    Checkpoint,
    Delta,
    Event,
    FileDifference,
    Message,
    WorkspaceFile,
)
from agentry.client.records.policies import (
    CaseFailure,
    CasesRun,
    Policy,
    PolicyDifference,
    PolicyVersion,
    SimulatedCall,
    SimulatedRule,
    Simulation,
)
from agentry.client.records.runs import (
    FINISHED_STATES,
    PERSON_WAITS,
    SETTLED_CALL_STATES,
    ForkedFrom,
    Reason,
    Run,
    ToolCall,
    Usage,
    Why,
)

__all__ = [
    "FINISHED_STATES",
    "PERSON_WAITS",
    "SETTLED_CALL_STATES",
    "Agent",
    "AgentVersion",
    "Applied",
    "Approval",
    "ArgumentDifference",
    "CaseFailure",
    "CasesRun",
    "Change",
    "Channel",
    "Checkpoint",
    "Delegation",
    "Delivery",
    "Delta",
    "Difference",
    "Event",
    "Evidence",
    "EvidencePlace",
    "EvidenceSource",
    "FileDifference",
    "ForkedFrom",
    "Grant",
    "GrantProposal",
    "GrantUse",
    "Me",
    "Message",
    "Model",
    "Page",
    "Policy",
    "PolicyDifference",
    "PolicyVersion",
    "Provider",
    "Reason",
    "Record",
    "Run",
    "Secret",
    "Session",
    "SimilarDecision",
    "SimulatedCall",
    "SimulatedRule",
    "Simulation",
    "Token",
    "Tool",
    "ToolCall",
    "Usage",
    "User",
    "Vote",
    "Why",
    "WorkspaceAccess",
    "WorkspaceFile",
]
