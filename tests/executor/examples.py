"""Inputs and answers of every step, for the tests."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    ArticleInput,
    Cluster,
    ClusteringInput,
    CompetitorInput,
    IcpInput,
    IcpResult,
    SeedKeyword,
    StepInput,
    ValidationInput,
    cluster_id,
)

WORKFLOW = UUID("0f8f1c1e-57a1-4c2c-9a55-6d7f3c0f2b11")

ICP = IcpResult(
    industries=("Software",),
    buyer_roles=("Head of content",),
    pain_points=("Articles take weeks",),
    value_proposition="Articles within a day",
)


def seed(keyword: str, competitor_url: str = "https://one.example") -> SeedKeyword:
    return SeedKeyword(
        keyword=keyword, competitor_url=competitor_url, intent="commercial", reason="They buy."
    )


def cluster(pillar: str, *supporting: str) -> Cluster:
    return Cluster(
        cluster_id=cluster_id(WORKFLOW, pillar),
        pillar_keyword=pillar,
        supporting_keywords=supporting,
        theme=f"All about {pillar}",
    )


INPUTS: dict[Step, StepInput] = {
    Step.ICP: IcpInput(organization_name="Acme", organization_url="https://acme.example"),
    Step.COMPETITOR: CompetitorInput(icp=ICP, competitor_urls=("https://one.example", "https://two.example")),
    Step.CLUSTERING: ClusteringInput(keywords=(seed("content software"), seed("seo tools"))),
    Step.VALIDATION: ValidationInput(icp=ICP, clusters=(cluster("content software"), cluster("seo tools"))),
    Step.ARTICLE: ArticleInput(
        organization_name="Acme", icp=ICP, clusters=(cluster("content software", "seo tools"),)
    ),
}


def answer(step: Step, **changes: Any) -> str:
    """An answer that is valid for the step's first item, with some of its fields changed."""
    documents: dict[Step, dict[str, Any]] = {
        Step.ICP: ICP.model_dump(),
        Step.COMPETITOR: {
            "keywords": [{"keyword": "seo tools", "intent": "commercial", "reason": "They buy."}]
        },
        Step.CLUSTERING: {
            "clusters": [
                {"pillar_keyword": "SEO  tools", "supporting_keywords": ["content software"], "theme": "SEO"}
            ]
        },
        Step.VALIDATION: {
            "verdicts": [
                {
                    "cluster_id": str(cluster_id(WORKFLOW, pillar)),
                    "valid": True,
                    "confidence": 0.9,
                    "reason": "Fits.",
                }
                for pillar in ("content software", "seo tools")
            ]
        },
        Step.ARTICLE: {
            "title": "Content software, explained",
            "slug": "content-software",
            "meta_description": "What it is and whom it helps.",
            "body_markdown": "## What it is\n\nText.",
        },
    }
    return json.dumps(documents[step] | changes)
