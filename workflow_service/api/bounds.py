"""The bounds of the workflow service's requests. The protos state them too, and a test compares both."""

from __future__ import annotations

from typing import Final

from service_chassis.rpc.admission import MESSAGE_BYTES_MAX
from service_chassis.rpc.bounds import Bounds
from workflow_service.api.parse import COMPETITOR_URLS_MAX, DECISIONS_MAX
from workflow_service.domain.steps import ICP_TEXTS_MAX, KEYWORDS_MAX

_DATA_ELEMENTS_MAX: Final = 1000
_WORKFLOW: Final = "infin8.workflow.v1"

BOUNDS: Final = Bounds(
    elements={
        f"{_WORKFLOW}.Profile.competitor_urls": COMPETITOR_URLS_MAX,
        f"{_WORKFLOW}.SubmitSeedReviewRequest.decisions": DECISIONS_MAX,
        f"{_WORKFLOW}.IcpResult.industries": ICP_TEXTS_MAX,
        f"{_WORKFLOW}.IcpResult.buyer_roles": ICP_TEXTS_MAX,
        f"{_WORKFLOW}.IcpResult.pain_points": ICP_TEXTS_MAX,
        f"{_WORKFLOW}.CompetitorResult.keywords": KEYWORDS_MAX,
        f"{_WORKFLOW}.ClusteringResult.clusters": KEYWORDS_MAX,
        f"{_WORKFLOW}.ClusterResult.supporting_keywords": KEYWORDS_MAX,
        f"{_WORKFLOW}.ValidationResult.verdicts": KEYWORDS_MAX,
        f"{_WORKFLOW}.ArticleResult.articles": KEYWORDS_MAX,
        f"{_WORKFLOW}.PublishResult.publications": KEYWORDS_MAX,
        # In UpdateWorkflowData's `workflow_data`: for each object and each list.
        "google.protobuf.Struct.fields": _DATA_ELEMENTS_MAX,
        "google.protobuf.ListValue.values": _DATA_ELEMENTS_MAX,
    },
    message_bytes={
        f"{_WORKFLOW}.CompleteStepRequest": MESSAGE_BYTES_MAX,
        f"{_WORKFLOW}.CreateWorkflowRequest": 256 * 1024,
        f"{_WORKFLOW}.SubmitSeedReviewRequest": 1024 * 1024,
        f"{_WORKFLOW}.UpdateWorkflowDataRequest": 1024 * 1024,
    },
)
