"""The exception that ends a step's work without a result."""

from __future__ import annotations

from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.workflow import LastError


class StepFailed(Exception):  # noqa: N818 - an outcome that callers match on, not a bug
    """The step becomes X_FAILED with this error.

    Answers that were paid for stay in the journal for the next run.
    """

    def __init__(self, error_class: ErrorClass, reason: str, message: str) -> None:
        super().__init__(f"{error_class}: {message}")
        self.error = LastError(error_class=error_class, reason=reason, message=message)
