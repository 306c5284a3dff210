"""How a step's work ends where it ends without a result."""

from __future__ import annotations

from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.workflow import LastError


class StepFailed(Exception):  # noqa: N818 - an outcome that callers match on, not a bug
    """The step is to be X_FAILED with this error; what was paid for is in the journal and is used again."""

    def __init__(self, error_class: ErrorClass, reason: str, message: str) -> None:
        super().__init__(f"{error_class}: {message}")
        self.error = LastError(error_class=error_class, reason=reason, message=message)
