"""What the trace of a run says of a decision, whatever was asked."""

from typing import Any

from governance.contracts import Ruling


def ruling_told(ruling: Ruling) -> dict[str, Any]:
    return {
        "approval": str(ruling.approval_id),
        "state": ruling.state.value,
        "by": ruling.by,
        "reason": ruling.reason,
        "surface": ruling.surface,
        "is_edited": ruling.arguments is not None,
    }
