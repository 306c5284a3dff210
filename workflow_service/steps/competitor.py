"""COMPETITOR (S37): up to three seed keywords for each competitor. One call for each competitor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field

from service_chassis.postgres.database import Connection
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    KEYWORDS_PER_COMPETITOR_MAX,
    CompetitorInput,
    CompetitorResult,
    IcpResult,
    Keyword,
    Line,
    SeedKeyword,
    Sentence,
    Url,
    keyword_key,
)
from workflow_service.domain.workflow import Workflow
from workflow_service.steps.model_step import Answer, Item, ModelStep, Payload
from workflow_service.steps.step_definition import icp_of
from workflow_service.store import results

_ITEM_NAME_MAX = 200


class CompetitorPayload(Payload):
    icp: IcpResult
    competitor_url: Url


class KeywordAnswer(Answer):
    keyword: Keyword
    intent: Line
    reason: Sentence


class CompetitorAnswer(Answer):
    keywords: Annotated[tuple[KeywordAnswer, ...], Field(min_length=1, max_length=50)]


class CompetitorStep(ModelStep[CompetitorInput, CompetitorPayload, CompetitorAnswer, CompetitorResult]):
    step = Step.COMPETITOR
    task = (
        "You find the search keywords by which customers of the given profile come upon a competitor. For "
        f"the competitor at competitor_url name at most {KEYWORDS_PER_COMPETITOR_MAX} seed keywords, the "
        "most valuable first; for each the searcher's intent (informational, navigational, commercial or "
        "transactional) and, in one sentence, the reason why it matters."
    )
    answer_type = CompetitorAnswer

    async def read_input(self, connection: Connection, workflow: Workflow) -> CompetitorInput:  # noqa: ARG002
        return CompetitorInput(icp=icp_of(workflow), competitor_urls=workflow.profile.competitor_urls)

    async def store_result(
        self, connection: Connection, workflow: Workflow, result: CompetitorResult
    ) -> None:
        await results.insert_keywords(
            connection, workflow.organization_id, workflow.workflow_id, result.keywords
        )

    def items(self, step_input: CompetitorInput) -> Sequence[Item[CompetitorPayload]]:
        urls = dict.fromkeys(step_input.competitor_urls)
        return [
            Item(_item_name(url), CompetitorPayload(icp=step_input.icp, competitor_url=url)) for url in urls
        ]

    def combine(
        self,
        workflow_id: UUID,  # noqa: ARG002
        step_input: CompetitorInput,
        answers: Sequence[CompetitorAnswer],
    ) -> CompetitorResult:
        """A keyword that several competitors share belongs to the first of them."""
        keywords: dict[str, SeedKeyword] = {}
        for url, answer in zip(dict.fromkeys(step_input.competitor_urls), answers, strict=True):
            for found in answer.keywords[:KEYWORDS_PER_COMPETITOR_MAX]:
                seed = SeedKeyword(competitor_url=url, **found.model_dump())
                keywords.setdefault(keyword_key(found.keyword), seed)
        return CompetitorResult(keywords=tuple(keywords.values()))


def _item_name(url: str) -> str:
    """The URL itself where it is short enough to be a key."""
    if len(url) <= _ITEM_NAME_MAX and url.isascii():
        return url
    return hashlib.sha256(url.encode()).hexdigest()
