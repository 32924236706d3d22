"""Every page of the console by a short name: for its picture, its accessibility and its policy.

A page that is in the sidebar and not here fails `test_pages`.
"""

from tests.e2e.browser.stage import Stage


def places(stage: Stage) -> dict[str, str]:
    """Return the address of each page, below the site's own."""
    return {f"{name}": f"/admin/{address}" for name, address in _below(stage).items()}


def _below(stage: Stage) -> dict[str, str]:
    runs, rows = stage.runs, stage.rows
    run = f"agents/run/{runs['succeeded']}/change/"
    call = f"plugins/toolcall/{rows['call']}"
    policy = f"governance/policy/{rows['policy']}"
    return {
        "overview": "",
        "find": "find/?q=release",
        "queue": "approvals/",
        "queue-decided": "approvals/?show=decided",
        "runs": "agents/run/",
        "run-start": f"agents/run/start/?agent={rows['agent']}",
        "run": run,
        "run-calls": f"{run}#show=calls",
        "run-checkpoints": f"{run}#show=checkpoints",
        "run-timeline": f"{run}#show=timeline",
        "run-live": f"agents/run/{runs['running']}/change/",
        "run-yielded": f"agents/run/{runs['yielded']}/change/",
        "run-doubtful": f"agents/run/{runs['doubtful']}/change/",
        "run-failed": f"agents/run/{runs['failed']}/change/",
        "run-fork": f"agents/run/{runs['succeeded']}/fork/?checkpoint=2",
        "run-resume": f"agents/run/{runs['yielded']}/resume/",
        "run-cancel": f"agents/run/{runs['waiting']}/cancel/",
        "run-history": f"agents/run/{runs['succeeded']}/history/",
        "calls": "plugins/toolcall/",
        "call": f"{call}/change/",
        "call-resolve": f"{call}/resolve/",
        "sessions": "agents/session/",
        "session": f"agents/session/{rows['session']}/change/",
        "workers": "agents/worker/",
        "agents": "agents/agent/",
        "agent": f"agents/agent/{rows['agent']}/change/",
        "agent-new": "agents/agent/add/",
        "agent-history": f"agents/agent/{rows['agent']}/history/",
        "versions": "agents/agentversion/",
        "version": f"agents/agentversion/{rows['version']}/change/",
        "version-draft": f"agents/agentversion/{rows['draft']}/change/",
        "tools": "plugins/tooldefinition/",
        "tool": f"plugins/tooldefinition/{rows['tool']}/change/",
        "tool-new": "plugins/tooldefinition/add/",
        "providers": "agents/provider/",
        "provider-new": "agents/provider/add/",
        "models": "agents/model/",
        "model-new": "agents/model/add/",
        "routes": "agents/modelroute/",
        "policies": "governance/policy/",
        "policy": f"{policy}/change/?cases=run",
        "policy-try": f"{policy}/try/?days=7",
        "policy-publish": f"{policy}/publish/",
        "policy-versions": "governance/policyversion/",
        "shadow-answers": "governance/policydifference/",
        "approvals": "governance/approval/",
        "votes": "governance/approvalvote/",
        "grants": "governance/grant/",
        "grant-uses": "governance/grantuse/",
        "delegations": "governance/delegation/",
        "secrets": "governance/secret/",
        "secret-new": "governance/secret/add/",
        "channels": "governance/channel/",
        "channel": f"governance/channel/{rows['channel']}/change/",
        "channel-new": "governance/channel/add/",
        "channel-new-slack": "governance/channel/add/?kind=slack",
        "deliveries": "governance/delivery/",
        "users": "governance/user/",
        "user-new": "governance/user/add/",
        "workspaces": "governance/workspace/",
        "members": "governance/membership/",
        "member-new": "governance/membership/add/",
        "roles": "governance/role/",
        "role-new": "governance/role/add/",
        "tokens": "governance/apitoken/",
        "token-new": "governance/apitoken/add/",
        "audit": "governance/auditentry/",
        "signatures": "governance/auditcheckpoint/",
        "activity": "auditlog/logentry/",
        "events": "observability/traceevent/",
        "messages": "agents/message/",
        "checkpoints": "agents/checkpoint/",
        "snapshots": "agents/runsnapshot/",
        "texts": "observability/blob/",
        "password": "password_change/",
    }
