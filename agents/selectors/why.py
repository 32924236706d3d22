"""Why a run is where it is: one answer for API, command line and pages."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.contracts import Control, RunErrorCode, RunState
from agents.models import Run, Worker
from agents.transitions import LIVE
from core import clock
from governance.contracts import ApprovalKind
from governance.selectors.approvals import OpenQuestion, questions_of_run
from plugins.contracts import WaitKind
from plugins.selectors import calls_in_doubt

WORKER_SILENT_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One cause. `subject` is the id of what it is about, for a link."""

    code: str
    sentence: str
    remedy: str = ""
    since: datetime | None = None
    subject: str = ""

    @property
    def remedy_parts(self) -> list[str]:
        """Text and code in turn, for a page."""
        return self.remedy.split("`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    state: str
    summary: str
    reasons: list[Reason]


def why(run: Run) -> Why:
    """Explain the run's state. The caller has checked that the run may be seen.

    Sentences may quote the run's `reason`, which is payload: withhold them together.
    """
    reasons = _EXPLAIN[RunState(run.state)](run)
    if run.control:
        reasons.append(_asked(run))
    if run.crashes and run.state in LIVE:
        reasons.append(
            Reason(
                code="worker_died",
                sentence=f"Its worker died {run.crashes} time(s); it was taken up again each time.",
            )
        )
    summary = reasons[0].sentence if reasons else f"The run is {run.state}."
    return Why(state=run.state, summary=summary, reasons=reasons)


def _asked(run: Run) -> Reason:
    by = f" by {run.control_by}" if run.control_by else ""
    if run.control == Control.RESUME.value:
        return Reason(
            code="asked_resume",
            sentence=f"The request to pause it was withdrawn{by}; it goes on.",
        )
    when = "at once" if run.control == Control.CANCEL.value else "at its next step boundary"
    return Reason(
        code=f"asked_{run.control}",
        sentence=f"It was asked to {run.control}{by}; its worker does so {when}.",
    )


def _queued(run: Run) -> list[Reason]:
    now = clock.now()
    if run.available_at > now:
        return [
            Reason(
                code="not_yet",
                sentence=f"It may start at {run.available_at.isoformat()}.",
                since=run.updated_at,
            )
        ]
    alive = list(Worker.objects.filter(seen_at__gt=now - WORKER_SILENT_AFTER))
    if not alive:
        return [
            Reason(
                code="no_worker",
                sentence="No worker is alive, so nothing can start.",
                remedy="Start one: `python manage.py worker`, or AGENTRY_ENGINE=embedded.",
                since=run.available_at,
            )
        ]
    taking = [worker for worker in alive if not worker.is_draining]
    if not taking:
        return [
            Reason(
                code="workers_draining",
                sentence=f"All {len(alive)} workers are stopping and take no new runs.",
                remedy="Start another worker.",
                since=run.available_at,
            )
        ]
    if all(worker.running >= worker.capacity for worker in taking):
        return [
            Reason(
                code="workers_full",
                sentence=f"All {len(taking)} workers are full.",
                remedy="Start another worker, or raise AGENTRY_WORKER_CAPACITY.",
                since=run.available_at,
            )
        ]
    ahead = Run.objects.filter(
        state=RunState.QUEUED.value, priority__gte=run.priority, available_at__lt=run.available_at
    ).count()
    return [
        Reason(
            code="queued",
            sentence=f"It is in the queue with {_counted(ahead, 'run')} ahead; a worker takes it "
            "within a second or so.",
            since=run.available_at,
        )
    ]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _running(run: Run) -> list[Reason]:
    now = clock.now()
    if run.lease_until is not None and run.lease_until < now:
        return [
            Reason(
                code="lease_expired",
                sentence="Its worker has gone silent; it is about to be taken up by another.",
                since=run.lease_until,
            )
        ]
    worker = Worker.objects.filter(pk=run.worker_id).first() if run.worker_id else None
    name = worker.name if worker else "a worker"
    return [
        Reason(
            code="running",
            sentence=f"It runs on {name}, {_counted(run.iteration, 'model call')} so far.",
            since=run.started_at,
            subject=str(run.worker_id or ""),
        )
    ]


def _waiting(run: Run) -> list[Reason]:
    reasons = [
        Reason(
            code="in_doubt",
            sentence=f"The call of {call.tool} may or may not have happened: {call.reason}",
            remedy="Find out what happened and resolve the call.",
            since=call.dispatched_at,
            subject=str(call.pk),
        )
        for call in calls_in_doubt(run.pk)
    ]
    in_doubt = {reason.subject for reason in reasons}
    reasons += [
        Reason(
            code=f"waiting_{_kind_of(question)}",
            sentence=f"{question.title}; that is asked of {question.whom}.",
            remedy=_REMEDIES[_kind_of(question)].format(id=question.id),
            since=question.asked_at,
            subject=str(question.id),
        )
        for question in questions_of_run(run.pk)
        if str(question.about) not in in_doubt
    ]
    reasons += [
        Reason(
            code="child",
            sentence=f"It waits for {child.agent_name}, which is {child.state}.",
            since=child.created_at,
            subject=str(child.pk),
        )
        for child in Run.objects.filter(parent_id=run.pk, state__in=LIVE)[:20]
    ]
    if run.wake_at is not None:
        reasons.append(
            Reason(
                code="timer",
                sentence=run.reason or f"It waits until {run.wake_at.isoformat()}.",
                since=run.updated_at,
            )
        )
    if run.wait_kind == WaitKind.TURN.value:
        reasons.append(_turn(run))
    return reasons or [
        Reason(
            code=f"waiting_{run.wait_kind}",
            sentence=run.reason or "It waits.",
            since=run.updated_at,
        )
    ]


def _kind_of(question: OpenQuestion) -> str:
    is_money = question.kind is ApprovalKind.BUDGET_RAISE
    return WaitKind.BUDGET.value if is_money else WaitKind.APPROVAL.value


_REMEDIES = {
    WaitKind.APPROVAL.value: "Decide it on its page, or with `agentry approvals show {id}` and "
    "`approve` or `deny`.",
    WaitKind.BUDGET.value: "Whoever may edit budgets can raise it there, with "
    "`agentry approvals approve {id}`, or with `agentry budgets raise`.",
}


def _turn(run: Run) -> Reason:
    line = Run.objects.filter(session=run.session, state__in=LIVE)
    active = line.exclude(wait_kind=WaitKind.TURN.value).first()
    if active is None:
        return Reason(code="turn", sentence="It is next in its session and about to start.")
    return Reason(
        code="turn",
        sentence=f"Its session is busy with another run, which is {active.state}.",
        subject=str(active.pk),
    )


def _paused(run: Run) -> list[Reason]:
    is_held = run.error_code in {RunErrorCode.STEP.value, RunErrorCode.BREAKPOINT.value}
    return [
        Reason(
            code=run.error_code or "paused",
            sentence=run.reason or "It is paused.",
            remedy="Look at what it is about to do on its page or with `agentry debug`, then step "
            "or continue it."
            if is_held
            else "Resume it when it may go on.",
            since=run.updated_at,
        )
    ]


def _yielded(run: Run) -> list[Reason]:
    return [
        Reason(
            code=run.error_code or "yielded",
            sentence=run.reason,
            remedy="Resume it with a higher limit, or cancel it.",
            since=run.updated_at,
        )
    ]


def _ended(run: Run) -> list[Reason]:
    if run.state == RunState.SUCCEEDED.value:
        sentence = run.reason or "It finished."
    else:
        sentence = run.reason or f"It {run.state}."
    return [Reason(code=run.error_code or run.state, sentence=sentence, since=run.finished_at)]


_EXPLAIN = {
    RunState.QUEUED: _queued,
    RunState.RUNNING: _running,
    RunState.WAITING: _waiting,
    RunState.PAUSED: _paused,
    RunState.YIELDED: _yielded,
    RunState.SUCCEEDED: _ended,
    RunState.FAILED: _ended,
    RunState.CANCELLED: _ended,
}
