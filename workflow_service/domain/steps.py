"""The input and the result of each working step: S36 to S42.

The types are frozen and bounded, so that their values can be stored, sent and shown. Text has no NUL, no
control or bidirectional-override characters and no lone surrogates. The built-in executor and outside workers
deliver the same types. `check_result` compares a result with the input that it was made from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from uuid import UUID, uuid5

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from service_chassis.refusal import invalid_field
from service_chassis.text import REASON_LENGTH_MAX
from workflow_service.domain.states import Step

KEYWORDS_PER_COMPETITOR_MAX: Final = 3
COMPETITOR_URLS_MAX: Final = 10
ICP_TEXTS_MAX: Final = 20
KEYWORDS_MAX: Final = KEYWORDS_PER_COMPETITOR_MAX * COMPETITOR_URLS_MAX
_KEYWORD_LENGTH_MAX: Final = 200

_NAMESPACE: Final = UUID("6b1cfd0a-9b1e-5f0e-9d53-6a3f6d1f7c11")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Control characters, lone surrogates, and bidirectional overrides and isolates.
_UNSAFE: Final = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_WITHOUT_MARKS: Final = dict.fromkeys(map(ord, "\u061c\u200e\u200f"))


def cluster_id(workflow_id: UUID, pillar_keyword: str) -> UUID:
    """The id of the cluster with this pillar: the same in every run of the workflow."""
    return uuid5(_NAMESPACE, f"cluster:{workflow_id}:{keyword_key(pillar_keyword)}")


def article_id(workflow_id: UUID, cluster: UUID) -> UUID:
    """The id of a cluster's article: the same in every run of the workflow."""
    return uuid5(_NAMESPACE, f"article:{workflow_id}:{cluster}")


def normalize_keyword(keyword: str) -> str:
    """A keyword as it is shown and stored: Unicode NFC, one space between words, none around.

    Directional marks are removed: they are invisible, nobody types them, and a review would refuse them.
    """
    return " ".join(unicodedata.normalize("NFC", keyword).translate(_WITHOUT_MARKS).split())


def keyword_key(keyword: str) -> str:
    """Two keywords with the same key are one keyword: `normalize_keyword`, and case does not count."""
    return normalize_keyword(unicodedata.normalize("NFKC", keyword).casefold())


def slugify(text: str) -> str:
    """`text` as a slug: lower-case ASCII letters, digits and single hyphens, at most 100; may be empty."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:100].strip("-")


def _line(value: str) -> str:
    if _UNSAFE.search(value):
        raise ValueError("control, bidirectional and surrogate characters are not allowed")
    value = value.strip()
    if not value:
        raise ValueError("must not be blank")
    return value


def _block(value: str) -> str:
    value = value.replace("\r\n", "\n")
    _line(value.replace("\n", " ").replace("\t", " "))
    return value.strip()


def _keyword(value: str) -> str:
    keyword = normalize_keyword(_line(value))
    # NFC makes two or three characters of some.
    if not 0 < len(keyword) <= _KEYWORD_LENGTH_MAX:
        raise ValueError(f"must have 1 to {_KEYWORD_LENGTH_MAX} characters once normalized")
    return keyword


def _id(value: object) -> object:
    # uuid.UUID() and pydantic take braces, `urn:` and misplaced hyphens as well.
    if isinstance(value, str) and not _UUID.fullmatch(value):
        raise ValueError("must be a UUID of 36 characters")
    return value


Id = Annotated[UUID, BeforeValidator(_id)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Sentence = Annotated[str, Field(max_length=1024), AfterValidator(_line)]
Reason = Annotated[str, Field(max_length=REASON_LENGTH_MAX), AfterValidator(_block)]
Url = Annotated[str, Field(max_length=2048), AfterValidator(_line)]
Keyword = Annotated[str, Field(max_length=_KEYWORD_LENGTH_MAX), AfterValidator(_keyword)]
Block = Annotated[str, Field(max_length=100_000), AfterValidator(_block)]
Slug = Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IcpResult(_Frozen):
    """The ideal customer profile: who buys, and why."""

    industries: Annotated[tuple[Line, ...], Field(min_length=1, max_length=ICP_TEXTS_MAX)]
    buyer_roles: Annotated[tuple[Line, ...], Field(min_length=1, max_length=ICP_TEXTS_MAX)]
    pain_points: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=ICP_TEXTS_MAX)]
    value_proposition: Sentence


class SeedKeyword(_Frozen):
    """A keyword that leads to a competitor. `intent` is the searcher's, such as commercial."""

    keyword: Keyword
    competitor_url: Url
    intent: Line
    reason: Reason


class CompetitorResult(_Frozen):
    """At most three seed keywords for each competitor. Their `keyword_key` is unique."""

    keywords: Annotated[tuple[SeedKeyword, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class Cluster(_Frozen):
    """Hub and spokes: a pillar keyword, the keywords that support it, and their common theme."""

    cluster_id: Id
    pillar_keyword: Keyword
    supporting_keywords: Annotated[tuple[Keyword, ...], Field(max_length=KEYWORDS_MAX)]
    theme: Sentence


class ClusteringResult(_Frozen):
    """A keyword is in one cluster at most."""

    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class ClusterVerdict(_Frozen):
    """`confidence` is from 0 to 1."""

    cluster_id: Id
    valid: bool
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    reason: Reason


class ValidationResult(_Frozen):
    """One verdict for each cluster."""

    verdicts: Annotated[tuple[ClusterVerdict, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]

    @property
    def valid_cluster_ids(self) -> frozenset[UUID]:
        return frozenset(verdict.cluster_id for verdict in self.verdicts if verdict.valid)


class Article(_Frozen):
    article_id: Id
    cluster_id: Id
    title: Line
    slug: Slug
    meta_description: Sentence
    body_markdown: Block


class ArticleResult(_Frozen):
    """One article for each valid cluster. Their slugs are unique."""

    articles: Annotated[tuple[Article, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class Publication(_Frozen):
    """Where an article was delivered: a path or a URL, as the publisher reports it."""

    article_id: Id
    location: Annotated[str, Field(max_length=4096), AfterValidator(_line)]


class PublishResult(_Frozen):
    publications: Annotated[tuple[Publication, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class IcpInput(_Frozen):
    """`linkedin_url` is None if there is none. An empty text counts as none."""

    organization_name: Line
    organization_url: Url
    linkedin_url: Annotated[Url | None, BeforeValidator(lambda value: value or None)] = None


class CompetitorInput(_Frozen):
    icp: IcpResult
    competitor_urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=COMPETITOR_URLS_MAX)]


class ClusteringInput(_Frozen):
    """`keywords` are the approved ones."""

    keywords: Annotated[tuple[SeedKeyword, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class ValidationInput(_Frozen):
    icp: IcpResult
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class ArticleInput(_Frozen):
    """`clusters` are the valid ones."""

    organization_name: Line
    icp: IcpResult
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class PublishInput(_Frozen):
    """The workflow's `publish_target` says where the articles go."""

    articles: Annotated[tuple[Article, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


StepInput = IcpInput | CompetitorInput | ClusteringInput | ValidationInput | ArticleInput | PublishInput
StepResult = (
    IcpResult | CompetitorResult | ClusteringResult | ValidationResult | ArticleResult | PublishResult
)

INPUT_TYPES: Final[Mapping[Step, type[StepInput]]] = {
    Step.ICP: IcpInput,
    Step.COMPETITOR: CompetitorInput,
    Step.CLUSTERING: ClusteringInput,
    Step.VALIDATION: ValidationInput,
    Step.ARTICLE: ArticleInput,
    Step.PUBLISH: PublishInput,
}
RESULT_TYPES: Final[Mapping[Step, type[StepResult]]] = {
    Step.ICP: IcpResult,
    Step.COMPETITOR: CompetitorResult,
    Step.CLUSTERING: ClusteringResult,
    Step.VALIDATION: ValidationResult,
    Step.ARTICLE: ArticleResult,
    Step.PUBLISH: PublishResult,
}


def check_result(step_input: StepInput, result: StepResult) -> None:
    """Raises INVALID_FIELD for a result that does not fit its input: unknown, missing or repeated items."""
    match step_input, result:
        case IcpInput(), IcpResult():
            pass
        case CompetitorInput(), CompetitorResult():
            _check_keywords(step_input, result)
        case ClusteringInput(), ClusteringResult():
            _check_clusters(step_input, result)
        case ValidationInput(), ValidationResult():
            _same_members(
                "result.validation.verdicts",
                [cluster.cluster_id for cluster in step_input.clusters],
                [verdict.cluster_id for verdict in result.verdicts],
            )
        case ArticleInput(), ArticleResult():
            _same_members(
                "result.article.articles",
                [cluster.cluster_id for cluster in step_input.clusters],
                [article.cluster_id for article in result.articles],
            )
            _distinct("result.article.articles", [article.slug for article in result.articles])
            _distinct("result.article.articles", [article.article_id for article in result.articles])
        case PublishInput(), PublishResult():
            _same_members(
                "result.publish.publications",
                [article.article_id for article in step_input.articles],
                [publication.article_id for publication in result.publications],
            )
        case _:
            raise invalid_field("result", "is of another step than the lease")


def _check_keywords(step_input: CompetitorInput, result: CompetitorResult) -> None:
    path = "result.competitor.keywords"
    _distinct(path, [keyword_key(keyword.keyword) for keyword in result.keywords])
    urls = [keyword.competitor_url for keyword in result.keywords]
    for url in set(urls):
        if url not in step_input.competitor_urls:
            raise invalid_field(path, "names a competitor_url that the input does not have")
        if urls.count(url) > KEYWORDS_PER_COMPETITOR_MAX:
            raise invalid_field(path, f"has more than {KEYWORDS_PER_COMPETITOR_MAX} for one competitor")


def _check_clusters(step_input: ClusteringInput, result: ClusteringResult) -> None:
    path = "result.clustering.clusters"
    approved = {keyword_key(keyword.keyword) for keyword in step_input.keywords}
    used = [
        keyword_key(keyword)
        for cluster in result.clusters
        for keyword in (cluster.pillar_keyword, *cluster.supporting_keywords)
    ]
    _distinct(path, used)
    _distinct(path, [cluster.cluster_id for cluster in result.clusters])
    if not approved.issuperset(used):
        raise invalid_field(path, "uses a keyword that was not approved")


def _distinct(path: str, values: Sequence[object]) -> None:
    if len(set(values)) != len(values):
        raise invalid_field(path, "names the same thing twice")


def _same_members(path: str, expected: Sequence[UUID], actual: Sequence[UUID]) -> None:
    _distinct(path, actual)
    if set(actual) != set(expected):
        raise invalid_field(path, "must have exactly one for each that the input has")
