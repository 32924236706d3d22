"""Addresses of the governance API, below `/api/v1/`."""

from typing import Any, TypeAlias

from django.urls import path

from governance.api import (
    approvals,
    audit,
    budgets,
    channels,
    delegations,
    grants,
    policies,
    secrets,
    views,
)

_Actions: TypeAlias = dict[str, Any]

_MANY: _Actions = {"get": "list", "post": "create"}
_ONE: _Actions = {"get": "retrieve", "patch": "partial_update"}
_ONE_ENDING: _Actions = {**_ONE, "delete": "destroy"}
_IN_WORKSPACE = "workspaces/<str:workspace>"

urlpatterns = [
    path("me", views.MeViewSet.as_view({"get": "retrieve"}), name="me"),
    path("workspaces", views.WorkspaceViewSet.as_view(_MANY), name="workspaces"),
    path(_IN_WORKSPACE, views.WorkspaceViewSet.as_view(_ONE), name="workspace"),
    path(f"{_IN_WORKSPACE}/members", views.MemberViewSet.as_view(_MANY), name="members"),
    path(
        f"{_IN_WORKSPACE}/members/<uuid:pk>",
        views.MemberViewSet.as_view(_ONE_ENDING),
        name="member",
    ),
    path(f"{_IN_WORKSPACE}/roles", views.RoleViewSet.as_view(_MANY), name="roles"),
    path(f"{_IN_WORKSPACE}/roles/<uuid:pk>", views.RoleViewSet.as_view(_ONE_ENDING), name="role"),
    path("tokens", views.TokenViewSet.as_view(_MANY), name="tokens"),
    path(
        f"{_IN_WORKSPACE}/policy",
        policies.PolicyViewSet.as_view({"get": "retrieve", "put": "update"}),
        name="policy",
    ),
    path(
        f"{_IN_WORKSPACE}/policy/publish",
        policies.PolicyViewSet.as_view({"post": "publish"}),
        name="policy-publish",
    ),
    path(
        f"{_IN_WORKSPACE}/policy/test",
        policies.PolicyViewSet.as_view({"post": "test"}),
        name="policy-test",
    ),
    path(
        f"{_IN_WORKSPACE}/policy/shadow",
        policies.PolicyViewSet.as_view({"delete": "end_shadow"}),
        name="policy-shadow",
    ),
    path(
        f"{_IN_WORKSPACE}/policy/differences",
        policies.PolicyDifferenceViewSet.as_view({"get": "list"}),
        name="policy-differences",
    ),
    path(
        f"{_IN_WORKSPACE}/policy/versions",
        policies.PolicyVersionViewSet.as_view({"get": "list"}),
        name="policy-versions",
    ),
    path(
        f"{_IN_WORKSPACE}/policy/versions/<int:number>",
        policies.PolicyVersionViewSet.as_view({"get": "retrieve"}),
        name="policy-version",
    ),
    path(f"{_IN_WORKSPACE}/budgets", budgets.BudgetViewSet.as_view(_MANY), name="budgets"),
    path(
        f"{_IN_WORKSPACE}/budgets/<str:name>",
        budgets.BudgetViewSet.as_view(_ONE_ENDING),
        name="budget",
    ),
    path(
        f"{_IN_WORKSPACE}/budgets/<str:name>/raise",
        budgets.BudgetViewSet.as_view({"post": "increase"}),
        name="budget-raise",
    ),
    path(
        f"{_IN_WORKSPACE}/budget-tree",
        budgets.BudgetTreeViewSet.as_view({"get": "retrieve"}),
        name="budget-tree",
    ),
    path(
        f"{_IN_WORKSPACE}/reservations",
        budgets.ReservationViewSet.as_view({"get": "list"}),
        name="reservations",
    ),
    path(f"{_IN_WORKSPACE}/channels", channels.ChannelViewSet.as_view(_MANY), name="channels"),
    path(
        f"{_IN_WORKSPACE}/channels/<str:name>",
        channels.ChannelViewSet.as_view(_ONE_ENDING),
        name="channel",
    ),
    path(
        f"{_IN_WORKSPACE}/channels/<str:name>/test",
        channels.ChannelViewSet.as_view({"post": "test"}),
        name="channel-test",
    ),
    path(
        f"{_IN_WORKSPACE}/channels/<str:name>/decisions",
        channels.WebhookDecisionViewSet.as_view({"post": "decide"}),
        name="channel-decisions",
    ),
    path(
        f"{_IN_WORKSPACE}/channels/<str:name>/slack",
        channels.SlackDecisionViewSet.as_view({"post": "press"}),
        name="channel-slack",
    ),
    path(
        f"{_IN_WORKSPACE}/deliveries",
        channels.DeliveryViewSet.as_view({"get": "list"}),
        name="deliveries",
    ),
    path(
        f"{_IN_WORKSPACE}/deliveries/<uuid:pk>",
        channels.DeliveryViewSet.as_view({"get": "retrieve"}),
        name="delivery",
    ),
    path(
        f"{_IN_WORKSPACE}/deliveries/<uuid:pk>/redeliver",
        channels.DeliveryViewSet.as_view({"post": "redeliver"}),
        name="delivery-redeliver",
    ),
    path(
        f"{_IN_WORKSPACE}/secrets",
        secrets.SecretViewSet.as_view(_MANY),
        name="secrets",
    ),
    path(
        f"{_IN_WORKSPACE}/secrets/<str:name>",
        secrets.SecretViewSet.as_view(_ONE_ENDING),
        name="secret",
    ),
    path(
        f"{_IN_WORKSPACE}/secrets/<str:name>/rotate",
        secrets.SecretViewSet.as_view({"post": "rotate"}),
        name="secret-rotate",
    ),
    path(
        f"{_IN_WORKSPACE}/approvals",
        approvals.ApprovalViewSet.as_view({"get": "list"}),
        name="approvals",
    ),
    path(
        f"{_IN_WORKSPACE}/approvals/<uuid:pk>",
        approvals.ApprovalViewSet.as_view({"get": "retrieve"}),
        name="approval",
    ),
    path(
        f"{_IN_WORKSPACE}/approvals/<uuid:pk>/decide",
        approvals.ApprovalViewSet.as_view({"post": "decide"}),
        name="approval-decide",
    ),
    path(
        f"{_IN_WORKSPACE}/approvals/<uuid:pk>/grant",
        grants.ApprovalGrantViewSet.as_view({"get": "retrieve", "post": "create"}),
        name="approval-grant",
    ),
    path(f"{_IN_WORKSPACE}/grants", grants.GrantViewSet.as_view({"get": "list"}), name="grants"),
    path(
        f"{_IN_WORKSPACE}/grants/<uuid:pk>",
        grants.GrantViewSet.as_view({"get": "retrieve"}),
        name="grant",
    ),
    path(
        f"{_IN_WORKSPACE}/grants/<uuid:pk>/revoke",
        grants.GrantViewSet.as_view({"post": "revoke"}),
        name="grant-revoke",
    ),
    path(
        f"{_IN_WORKSPACE}/grants/<uuid:pk>/uses",
        grants.GrantUseViewSet.as_view({"get": "list"}),
        name="grant-uses",
    ),
    path(
        f"{_IN_WORKSPACE}/delegations",
        delegations.DelegationViewSet.as_view(_MANY),
        name="delegations",
    ),
    path(
        f"{_IN_WORKSPACE}/delegations/<uuid:pk>",
        delegations.DelegationViewSet.as_view({"get": "retrieve"}),
        name="delegation",
    ),
    path(
        f"{_IN_WORKSPACE}/delegations/<uuid:pk>/end",
        delegations.DelegationViewSet.as_view({"post": "end"}),
        name="delegation-end",
    ),
    path(
        "tokens/<uuid:pk>",
        views.TokenViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="token",
    ),
    path("activity", views.ActivityViewSet.as_view({"get": "list"}), name="activity"),
    path("audit", audit.SiteAuditViewSet.as_view({"get": "list"}), name="site-audit"),
    path("audit/key", audit.AuditKeyViewSet.as_view({"get": "retrieve"}), name="audit-key"),
    path(
        "audit/checkpoints",
        audit.SiteAuditCheckpointViewSet.as_view(_MANY),
        name="site-audit-checkpoints",
    ),
    path(
        "audit/export",
        audit.SiteAuditExportViewSet.as_view({"get": "retrieve"}),
        name="site-audit-export",
    ),
    path(f"{_IN_WORKSPACE}/audit", audit.AuditViewSet.as_view({"get": "list"}), name="audit"),
    path(
        f"{_IN_WORKSPACE}/audit/checkpoints",
        audit.AuditCheckpointViewSet.as_view(_MANY),
        name="audit-checkpoints",
    ),
    path(
        f"{_IN_WORKSPACE}/audit/export",
        audit.AuditExportViewSet.as_view({"get": "retrieve"}),
        name="audit-export",
    ),
    path("users", views.UserViewSet.as_view(_MANY), name="users"),
    path("users/<uuid:pk>", views.UserViewSet.as_view(_ONE), name="user"),
]
