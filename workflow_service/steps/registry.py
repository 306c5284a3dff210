"""The working steps that consist of model calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workflow_service.domain.states import Step
from workflow_service.steps.article import ArticleStep
from workflow_service.steps.clustering import ClusteringStep
from workflow_service.steps.competitor import CompetitorStep
from workflow_service.steps.icp import IcpStep
from workflow_service.steps.model_step import ModelStep
from workflow_service.steps.validation import ValidationStep

MODEL_STEPS: Final[Mapping[Step, ModelStep[Any, Any, Any]]] = {
    step.step: step
    for step in (IcpStep(), CompetitorStep(), ClusteringStep(), ValidationStep(), ArticleStep())
}
