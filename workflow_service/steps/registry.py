"""The working steps. A step that is not listed here cannot be run or claimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workflow_service.domain.states import WORKING_STEPS, Step
from workflow_service.steps.article import ArticleStep
from workflow_service.steps.clustering import ClusteringStep
from workflow_service.steps.competitor import CompetitorStep
from workflow_service.steps.icp import IcpStep
from workflow_service.steps.model_step import ModelStep
from workflow_service.steps.publish import PublishStep
from workflow_service.steps.step_definition import StepDefinition
from workflow_service.steps.validation import ValidationStep

STEP_DEFINITIONS: Final[Mapping[Step, StepDefinition[Any, Any]]] = {
    definition.step: definition
    for definition in (
        IcpStep(),
        CompetitorStep(),
        ClusteringStep(),
        ValidationStep(),
        ArticleStep(),
        PublishStep(),
    )
}
MODEL_STEPS: Final[Mapping[Step, ModelStep[Any, Any, Any, Any]]] = {
    step: definition for step, definition in STEP_DEFINITIONS.items() if isinstance(definition, ModelStep)
}

assert set(STEP_DEFINITIONS) == set(WORKING_STEPS), "each working step of the domain has its definition"
