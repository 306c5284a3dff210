"""The answers of the simulated model: deterministic, made from the document at the end of the prompt."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

_FIELDS: Final[Sequence[tuple[str, str, Sequence[str]]]] = (
    # words that hint at a field in a name or a URL; the field; topics that people search for in it
    (
        "pay|stripe|adyen|billing|bank|fin|klarna|checkout|square|mollie",
        "payment software",
        (
            "online payment processing",
            "recurring billing",
            "payment fraud prevention",
            "cross-border payments",
            "checkout conversion",
            "payment reconciliation",
        ),
    ),
    (
        "crm|sales|hubspot|pipe|market|mail|seo|brand|content",
        "marketing and sales software",
        (
            "lead scoring",
            "marketing automation",
            "sales pipeline management",
            "email deliverability",
            "customer segmentation",
            "content planning",
        ),
    ),
    (
        "data|analytic|metric|snow|brick|tableau|plot|insight|graph",
        "analytics software",
        (
            "product analytics",
            "data warehousing",
            "self-service dashboards",
            "customer data integration",
            "event tracking",
            "data quality monitoring",
        ),
    ),
    (
        "project|task|notion|asana|monday|trello|linear|jira|atlassian|clickup|docs|base",
        "work management software",
        (
            "project planning",
            "team knowledge bases",
            "task automation",
            "resource planning",
            "roadmap planning",
            "meeting notes",
        ),
    ),
    (
        "shop|commerce|store|cart|retail|ship",
        "e-commerce software",
        (
            "online store migration",
            "inventory management",
            "abandoned cart recovery",
            "order fulfilment",
            "multichannel selling",
            "product page optimization",
        ),
    ),
    (
        "cloud|host|deploy|git|dev|api|secur|auth|monitor|server",
        "developer software",
        (
            "continuous deployment",
            "application monitoring",
            "incident response",
            "access management",
            "infrastructure cost control",
            "API management",
        ),
    ),
)
_OTHER_FIELD: Final = (
    "business software",
    (
        "workflow automation",
        "process documentation",
        "team collaboration",
        "customer onboarding",
        "cost control",
        "compliance reporting",
    ),
)
_INDUSTRIES: Final = (
    "software companies",
    "professional services",
    "online retail",
    "financial services",
    "health care",
    "manufacturing",
    "education",
    "logistics",
)
_SMALL_WORDS: Final = frozenset({"how", "to", "improve", "for", "and", "of", "the", "alternatives"})
_CLUSTERS_MAX: Final = 4
_SECTIONS_MAX: Final = 6
_ADVICE: Final = (
    "Begin with a small trial: one team, one month, one figure that the {role} cares about. Agree beforehand "
    "on the figure that would make you stop. Then look at what changed in the daily work, not at the number "
    "of people who logged in, and write the result down where the next team will find it.",
    "Before you compare suppliers, describe your own case in half a page: how often it comes up, who waits "
    "for whom, and what goes wrong. Ask the {role} to strike out what does not matter. What is left is the "
    "list that every offer is held against, and most offers get shorter when they are.",
    "Count what the present way costs before you change it: hours, errors, and the work that nobody gets to. "
    "The {role} will need that figure twice, once to argue for the change and once, a year on, to see "
    "whether it was worth it. Rough is good enough, as long as it is counted the same way both times.",
)


def answer(step: str | None, user_message: str, schema: Mapping[str, Any] | None = None) -> str:
    """The text for a step's prompt, by the step's lower-case name.

    For a step that has no content here, a document that fits `schema`. A sentence for any other prompt.
    """
    make = _ANSWERS.get(step or "")
    document = _last_document(user_message)
    if document is not None:
        try:
            if make is not None:
                return json.dumps(make(document), ensure_ascii=False)
            if schema:
                return json.dumps(_fitting(schema, document), ensure_ascii=False)
        except (KeyError, IndexError, TypeError):
            pass  # the document is not this step's, or the schema is not an answer's
    return "The local simulator answered this prompt; it knows no step to answer it for."


def _fitting(schema: Mapping[str, Any], document: object, name: str = "answer") -> Any:
    """A value that fits an answer's schema, out of what the prompt's document has under the same names.

    A list of objects gets one object for each object of the list that the document has under that name.
    """
    given = document.get(name) if isinstance(document, Mapping) else None
    match schema["type"]:
        case "object":
            inside = given if isinstance(given, Mapping) else document
            return {key: _fitting(value, inside, key) for key, value in schema["properties"].items()}
        case "array":
            sources = given if isinstance(given, list) and given else [{}]
            return [_fitting(schema["items"], {name: source}, name) for source in sources]
        case "boolean":
            return True
        case "integer":
            return 1
        case "number":
            return 0.5
        case _:
            return given if isinstance(given, str) else f"A simulated {name.replace('_', ' ')}"


def _last_document(user_message: str) -> dict[str, Any] | None:
    try:
        document = json.loads(user_message.rstrip().rpartition("\n\n")[2])
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _pick(key: str, choices: Sequence[str], count: int) -> list[str]:
    """`count` different choices, always the same for one key."""
    return sorted(choices, key=lambda choice: hashlib.sha256(f"{key}\0{choice}".encode()).digest())[:count]


def _field(text: str) -> tuple[str, Sequence[str]]:
    """The field that a text is about. The name of a field counts more than a hint."""
    for _, name, topics in _FIELDS:
        if name in text:
            return name, topics
    for hints, name, topics in _FIELDS:
        if re.search(hints, text.lower()):
            return name, topics
    return _OTHER_FIELD


def _brand(url: str) -> str:
    """`https://www.acme-pay.example/x` → `Acme Pay`."""
    labels = (urlsplit(url).hostname or "competitor").removeprefix("www.").split(".")
    return labels[0].replace("-", " ").title()


def _icp(document: Mapping[str, Any]) -> dict[str, Any]:
    name, url = str(document["organization_name"]), str(document["organization_url"])
    field, topics = _field(f"{name} {urlsplit(url).hostname}")
    industries = _pick(url, _INDUSTRIES, 3)
    first, second, third = _pick(url, topics, 3)
    return {
        "industries": industries,
        "buyer_roles": [
            "Head of Operations",
            "Chief Financial Officer",
            "VP of Engineering",
            "Head of Growth",
        ],
        "pain_points": [
            f"Work on {first} is spread over tools that do not talk to each other.",
            f"Nobody can say what {second} costs or what it returns.",
            f"Teams grow faster than their process for {third} does.",
        ],
        "value_proposition": (
            f"{name} gives teams in {industries[0]} one place for {first} and {second}: "
            f"{field} that is quick to adopt and clear about its cost."
        ),
    }


def _competitor(document: Mapping[str, Any]) -> dict[str, Any]:
    url, icp = str(document["competitor_url"]), document["icp"]
    _, topics = _field(str(icp["value_proposition"]))
    brand = _brand(url)
    first, second = _pick(url, topics, 2)
    industry = _pick(url, [str(industry) for industry in icp["industries"]], 1)[0]
    return {
        "keywords": [
            {
                "keyword": f"{brand} alternatives",
                "intent": "commercial",
                "reason": f"Buyers who know {brand} compare it with others before they decide.",
            },
            {
                "keyword": f"{first} for {industry}"[:200],
                "intent": "commercial",
                "reason": f"It is what {brand} is found for by buyers in {industry}.",
            },
            {
                "keyword": f"how to improve {second}",
                "intent": "informational",
                "reason": f"Readers with this question meet {brand} long before they look for a product.",
            },
        ]
    }


def _clustering(document: Mapping[str, Any]) -> dict[str, Any]:
    keywords = [str(seed["keyword"]) for seed in document["keywords"]]
    # The broadest first: no question, no brand, many words in common with the others, few words.
    pillars = sorted(
        keywords,
        key=lambda keyword: (
            keyword.startswith("how to ") or keyword.endswith(" alternatives"),
            -_kinship(keyword, keywords),
            len(keyword),
            keyword,
        ),
    )
    pillars = pillars[: max(1, min(_CLUSTERS_MAX, len(keywords) // 3))]
    supporting: dict[str, list[str]] = {pillar: [] for pillar in pillars}
    for keyword in keywords:
        if keyword not in supporting:
            nearest = max(pillars, key=lambda pillar: (_common(keyword, pillar), -len(supporting[pillar])))
            supporting[nearest].append(keyword)
    return {
        "clusters": [
            {
                "pillar_keyword": pillar,
                "supporting_keywords": members,
                "theme": f"What a buyer asks on the way to a decision about {pillar}.",
            }
            for pillar, members in supporting.items()
        ]
    }


def _common(keyword: str, other: str) -> int:
    return len((set(keyword.lower().split()) & set(other.lower().split())) - _SMALL_WORDS)


def _kinship(keyword: str, keywords: Sequence[str]) -> int:
    return sum(_common(keyword, other) for other in keywords if other != keyword)


def _validation(document: Mapping[str, Any]) -> dict[str, Any]:
    verdicts = []
    for cluster in document["clusters"]:
        members = len(cluster["supporting_keywords"])
        # A single keyword is not enough for an article, unless it is the only cluster.
        valid = members > 0 or len(document["clusters"]) == 1
        confidence = 0.7 + min(members, 5) * 0.05
        reason = "Its keywords ask the same thing." if valid else "No other keyword supports the pillar."
        verdicts.append(
            {
                "cluster_id": cluster["cluster_id"],
                "valid": valid,
                "confidence": round(confidence, 2),
                "reason": reason,
            }
        )
    if not any(verdict["valid"] for verdict in verdicts):
        verdicts[0] |= {"valid": True, "reason": "The strongest of the clusters."}
    return {"verdicts": verdicts}


def _article(document: Mapping[str, Any]) -> dict[str, Any]:
    name, icp, cluster = str(document["organization_name"]), document["icp"], document["cluster"]
    pillar = str(cluster["pillar_keyword"]).removeprefix("how to improve ")
    roles = [str(role) for role in icp["buyer_roles"]]
    pains = [str(pain)[:300] for pain in icp["pain_points"]]
    reader = roles[0]
    parts = [
        f"If you are looking into **{pillar}**, you have most likely met this problem already: {pains[0]} "
        f"This guide is for the {reader} who has to decide, and for those who will live with the decision. "
        "It says what to look at first, what to ask of a supplier, and how to tell after a quarter whether "
        "the choice was right.",
        f"## What {pillar} comes down to",
        "Most comparisons list features. What matters more is which part of the work gets shorter, who "
        "notices, and what happens on a bad day. Write down the three tasks that take your team the longest "
        f"today, and hold every claim about {pillar} against them. A tool that does not shorten one of the "
        "three is not worth a migration, whatever its price.",
    ]
    for number, keyword in enumerate(
        [str(keyword) for keyword in cluster["supporting_keywords"]][:_SECTIONS_MAX]
    ):
        advice = _ADVICE[number % len(_ADVICE)].format(role=roles[number % len(roles)])
        opening = f"People who search for *{keyword}* rarely want a definition. {pains[number % len(pains)]}"
        parts += [f"## {keyword[:1].upper()}{keyword[1:]}", f"{opening} {advice}"]
    parts += [
        "## Questions to ask before you decide",
        "\n".join(
            [
                "- What does it cost in the second year, with everyone on board?",
                "- Which of our records can we take out again, and in what form?",
                "- Who answers when something fails on a Sunday?",
                f"- How does it handle {pillar} for a team of our size?",
            ]
        ),
        f"## Where {name} fits",
        f"{icp['value_proposition']} If that is the problem you have, the next step is a short one: take one "
        "of the three tasks you wrote down, and see how far you get with it in an afternoon.",
        "*Written by the local model simulator.*",
    ]
    return {
        "title": f"{pillar[:1].upper()}{pillar[1:]}: a practical guide"[:200],
        "slug": re.sub(r"[^a-z0-9]+", "-", pillar.lower()).strip("-")[:90].strip("-") or "guide",
        "meta_description": f"What to look at, what to ask and how to decide: {pillar}, in plain words."[
            :160
        ],
        "body_markdown": "\n\n".join(parts),
    }


_ANSWERS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "icp": _icp,
    "competitor": _competitor,
    "clustering": _clustering,
    "validation": _validation,
    "article": _article,
}
