"""GuardedViewSet: REST resources whose every row and action passes the decision point.

A subclass declares `perms` (action → permission, None for any signed-in actor) and `queryset`, and
changes things by calling services in `perform_create`, `perform_update` and `perform_destroy`. The
base scopes every queryset by the action's permission, answers 404 for what is invisible and 403 for
what is visible but not allowed, runs writes in one transaction with the replay of Idempotency-Key,
looks the written row up again before it commits, and handles ETag, If-Match and If-None-Match.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpResponseBase
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from core.api import preconditions
from core.api.idempotency import HEADER, IdempotencyStore, answer_once
from core.api.schema import ProblemSchema
from core.api.serializers import unknown_sentence
from core.errors import InvalidInputError, NotFoundError, PermissionDeniedError
from governance import access
from governance.contracts import Actor, Perm
from governance.guard import schema as _schema  # noqa: F401 - registers the security schemes
from governance.guard.authentication import actor_of
from governance.guard.idempotency import DatabaseIdempotencyStore
from governance.guard.permissions import action_of, declared_perm
from governance.models import Workspace
from governance.selectors.workspaces import workspace_get
from governance.services.activity import recorded_as

SAFE_METHODS = frozenset({"GET", "HEAD"})


class GuardedViewSet(GenericViewSet[Any]):
    """See the module.

    `workspace_path` is the path from a row to its workspace, as `access.scope` takes it.
    `input_serializers` are what an action takes, where that differs from what it shows.
    `unkeyed_actions` refuse an Idempotency-Key, because their answer must not be stored.
    `unwrapped_actions` manage their own transactions and keys (long waits, streams).
    `query_parameters` are names in the query beside those of pages and filters.
    """

    perms: ClassVar[Mapping[str, Perm | None]] = {}
    workspace_path: ClassVar[str] = "workspace"
    input_serializers: ClassVar[Mapping[str, type[BaseSerializer[Any]]]] = {}
    unkeyed_actions: ClassVar[frozenset[str]] = frozenset()
    unwrapped_actions: ClassVar[frozenset[str]] = frozenset()
    query_parameters: ClassVar[frozenset[str]] = frozenset()
    problem_statuses: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    idempotency_store: ClassVar[IdempotencyStore] = DatabaseIdempotencyStore()
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    schema = ProblemSchema()

    # --- who and where ----------------------------------------------------------------------------

    @property
    def is_described(self) -> bool:
        """Whether this is not a request but the making of the OpenAPI document."""
        return bool(getattr(self, "swagger_fake_view", False))

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    @property
    def perm(self) -> Perm | None:
        """The permission declared for the current action."""
        return declared_perm(self, action_of(self, self.request))

    def get_workspace(self) -> Workspace:
        """Return the workspace named in the path, for which the action's permission is held."""
        workspace = workspace_get(self.actor, ref=str(self.kwargs["workspace"]))
        if self.perm is not None:
            access.require(self.actor, self.perm, workspace)
        return workspace

    # --- the request around the action ------------------------------------------------------------

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self._refuse_unknown_parameters(request)
        self._refuse_key(request)
        method = str(request.method).lower()
        handler = getattr(self, method)
        wrapped = request.method not in SAFE_METHODS and self.action not in self.unwrapped_actions

        def guarded(*handler_args: Any, **handler_kwargs: Any) -> HttpResponseBase:
            with recorded_as(self.actor):
                if not wrapped:
                    return self._run(handler, *handler_args, **handler_kwargs)
                return answer_once(
                    self.idempotency_store,
                    principal=str(self.actor.token_id or self.actor.user_id),
                    request=request,
                    work=lambda: self._run(handler, *handler_args, **handler_kwargs),
                )

        setattr(self, method, guarded)

    def _run(self, handler: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = handler(*args, **kwargs)
        return response

    def _refuse_key(self, request: Request) -> None:
        if self.action in self.unkeyed_actions and HEADER in request.headers:
            raise InvalidInputError(
                f"This request takes no {HEADER}: its answer is a secret, which is never stored.",
                remedy="Send it without; on a lost answer, revoke what was issued.",
                fields={HEADER: ["Not accepted here."]},
            )

    def _refuse_unknown_parameters(self, request: Request) -> None:
        known = set(self.query_parameters)
        if self.action == "list":
            known |= getattr(self.pagination_class, "parameters", frozenset())
            known |= self._filter_names()
        refused = {
            name: [unknown_sentence(name, known).replace("field", "query parameter")]
            for name in request.query_params
            if name not in known
        }
        if refused:
            raise InvalidInputError(
                f"Unknown query parameter: {', '.join(sorted(refused))}.",
                remedy="See the API reference for what this address understands.",
                fields=refused,
            )

    def _filter_names(self) -> set[str]:
        filterset = getattr(self, "filterset_class", None)
        if filterset is not None:
            return set(filterset.base_filters)
        fields = getattr(self, "filterset_fields", None) or ()
        if isinstance(fields, Mapping):
            return {
                name if lookup == "exact" else f"{name}__{lookup}"
                for name, lookups in fields.items()
                for lookup in lookups
            }
        return set(fields)

    # --- rows -------------------------------------------------------------------------------------

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows the actor may use in this action."""
        if self.is_described:
            return self.rows().none()
        if self.perm is None:
            raise ImproperlyConfigured(
                f"{type(self).__name__}.{self.action} has no permission to scope its rows by; "
                "declare one, or override get_queryset with a scoped selector."
            )
        return access.scope(self.actor, self.perm, self.rows(), field=self.workspace_path)

    def rows(self) -> QuerySet[Any]:
        """Return all rows of the resource, not scoped; override it to select or narrow."""
        return super().get_queryset()

    def visible_rows(self) -> QuerySet[Any]:
        """Return the rows the actor may read, which decides between 403 and 404."""
        perm = self.perms.get("retrieve") or self.perms.get("list")
        if perm is None:
            return self.rows().none()
        return access.scope(self.actor, perm, self.rows(), field=self.workspace_path)

    def get_object(self) -> Any:
        """Return the row named in the path, locked when the action changes something.

        Raises:
            NotFoundError: missing or invisible.
            PermissionDeniedError: visible, but not for this action.
            PreconditionFailedError: If-Match names an older state.
        """
        field = self.lookup_field
        wanted = {field: self.kwargs[self.lookup_url_kwarg or field]}
        found = self._find(self.get_queryset(), wanted)
        if found is None:
            visible = self._find(self.visible_rows(), wanted)
            if visible is None or self.perm is None:
                raise NotFoundError(
                    f"There is no {self._noun()} here, or it is not visible to you.",
                    remedy="Check the id and your workspace.",
                )
            raise access.denied(self.actor, self.perm, self.workspace_id_of(visible))
        if self.request.method not in SAFE_METHODS and "If-Match" in self.request.headers:
            # The lock comes before the comparison, so that nothing changes in between.
            model = type(found)
            model._base_manager.select_for_update().filter(pk=found.pk).first()
            found = self._find(self.get_queryset(), wanted) or found
            preconditions.require_match(self.request.headers, self.etag(found))
        return found

    def _find(self, rows: QuerySet[Any], wanted: dict[str, Any]) -> Any | None:
        try:
            return rows.filter(**wanted).first()
        except (ValidationError, ValueError, TypeError):
            return None  # not even an id: no such thing

    def workspace_id_of(self, row: Any) -> Any:
        """Return the id of the workspace a row belongs to, along `workspace_path`."""
        for part in self.workspace_path.split("__"):
            row = getattr(row, part)
        return row.pk if isinstance(row, Model) else row

    def _noun(self) -> str:
        return str(self.rows().model._meta.verbose_name)

    # --- answers ----------------------------------------------------------------------------------

    def representation(self, row: Any) -> Any:
        """Return what is shown of a row; override it when input and output differ."""
        return self.get_serializer(row).data

    def etag(self, row: Any) -> str:
        return self.tag_of(self.representation(row))

    def tag_of(self, data: Any) -> str:
        """Return the entity tag of a representation; override it to leave out what is no change."""
        return preconditions.etag_of(data)

    def answer(
        self, row: Any, *, status_code: int = status.HTTP_200_OK, recheck: bool = True
    ) -> Response:
        """Return the answer showing `row`, with its ETag.

        After a write the row is looked up again among those the actor may use, so that nothing is
        moved out of reach; the transaction is rolled back if it was.
        """
        if recheck and self.request.method not in SAFE_METHODS:
            row = self.rechecked(row)
        data = self.representation(row)
        tag = self.tag_of(data)
        if self.request.method in SAFE_METHODS and preconditions.is_unchanged(
            self.request.headers, tag
        ):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": tag})
        return Response(data, status=status_code, headers={"ETag": tag})

    def rechecked(self, row: Any) -> Any:
        """Return the row as it is now among those the actor may use in this action."""
        fresh = self.get_queryset().filter(pk=row.pk).first()
        if fresh is None:
            raise PermissionDeniedError(
                "The change would put the row out of your reach; nothing was changed.",
                remedy="Leave its workspace as it is.",
            )
        return fresh

    def checked(self, *, partial: bool = False) -> dict[str, Any]:
        """Return the validated input of this request."""
        kind = self.input_serializers.get(self.action, self.get_serializer_class())
        serializer = kind(
            data=self.request.data, partial=partial, context=self.get_serializer_context()
        )
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class ListMixin(GuardedViewSet):
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None  # every list is paged
        return self.get_paginated_response([self.representation(row) for row in page])


class RetrieveMixin(GuardedViewSet):
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.answer(self.get_object())


class CreateMixin(GuardedViewSet):
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.perform_create(self.checked())
        return self.answer(row, status_code=status.HTTP_201_CREATED)

    def perform_create(self, data: dict[str, Any]) -> Any:
        """Call the service that creates the row and return it."""
        raise NotImplementedError


class UpdateMixin(GuardedViewSet):
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return self.answer(self.perform_update(row, self.checked(partial=True)))

    def perform_update(self, row: Any, data: dict[str, Any]) -> Any:
        """Call the service that changes the row and return it."""
        raise NotImplementedError


class DestroyMixin(GuardedViewSet):
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.perform_destroy(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def perform_destroy(self, row: Any) -> None:
        """Call the service that deletes or ends the row."""
        raise NotImplementedError
