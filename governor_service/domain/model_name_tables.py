"""What is known of model ids: who sells under which prefix, whose family a name is, which names need a row.

The rules that use these tables are in `model_names.py`. Sellers and vendors are written as genai-prices and
OpenRouter write them. Where the reason for a row is not plain from its name, it stands beside the row.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Seller:
    """`own`: what the names of its models begin with in the price book, most specific first.
    `resells`: vendors whose models it sells at their prices; a model without a price of its own has theirs.
    `says_vendor`: its ids may name the vendor before the model."""

    own: tuple[str, ...]
    resells: frozenset[str] = frozenset()
    says_vendor: bool = False


def _vendor(provider: str, vendor: str) -> Seller:
    return Seller((f"{provider}-direct/", f"{vendor}/"))


_GOOGLE = _vendor("google", "google")
_VERTEX = Seller(_GOOGLE.own, frozenset({"ai21", "anthropic", "mistralai", "x-ai"}), says_vendor=True)
_AZURE = Seller(
    ("azure/",), frozenset({"anthropic", "cohere", "mistralai", "openai", "x-ai"}), says_vendor=True
)
_MISTRAL = _vendor("mistral", "mistralai")
_MOONSHOT = _vendor("moonshotai", "moonshotai")
_OPENAI = _vendor("openai", "openai")
_XAI = _vendor("x-ai", "x-ai")
_VERCEL = Seller(
    ("vercel/",),
    frozenset({"anthropic", "cohere", "google", "mistralai", "openai", "perplexity", "x-ai"}),
    says_vendor=True,
)
_TOGETHER = Seller(("together/",))
_FIREWORKS = Seller(("fireworks/",))
_COPILOT = Seller(("github-copilot/",))

BEDROCK = Seller(("aws/",), frozenset({"ai21", "anthropic", "cohere", "openai", "writer", "x-ai"}))

SELLERS: dict[str, Seller] = {
    # A vendor's own API, under a prefix that OpenRouter does not use for it.
    "anthropic-direct": _vendor("anthropic", "anthropic"),
    "cohere-direct": _vendor("cohere", "cohere"),
    "cohere_chat": _vendor("cohere", "cohere"),
    "deepseek-direct": _vendor("deepseek", "deepseek"),
    "google-direct": _GOOGLE,
    "gemini": _GOOGLE,
    "google-gla": _GOOGLE,
    "google_genai": _GOOGLE,
    "minimax-direct": _vendor("minimax", "minimax"),
    "mistral-direct": _MISTRAL,
    "mistral": _MISTRAL,
    "codestral": _MISTRAL,
    "text-completion-codestral": _MISTRAL,
    "moonshotai-direct": _MOONSHOT,
    "moonshot": _MOONSHOT,
    "openai-direct": _OPENAI,
    "openai-chat": _OPENAI,
    "openai-responses": _OPENAI,
    "text-completion-openai": _OPENAI,
    "perplexity-direct": _vendor("perplexity", "perplexity"),
    "x-ai-direct": _XAI,
    "xai": _XAI,
    "grok": _XAI,
    "zai-direct": _vendor("zai", "z-ai"),
    "zai": _vendor("zai", "z-ai"),
    "zhipuai": Seller(("zhipuai/",)),
    "bigmodel": Seller(("zhipuai/",)),
    "voyage": Seller(("voyageai/",)),
    "voyageai": Seller(("voyageai/",)),
    # Vendors that genai-prices has no list of: OpenRouter sells at their prices.
    "amazon-nova": Seller(("amazon/",)),
    "xiaomi_mimo": Seller(("xiaomi/",)),
    # Clouds, which sell the models of closed vendors at the vendors' prices.
    "aws": BEDROCK,
    "bedrock": BEDROCK,
    "bedrock_converse": BEDROCK,
    "bedrock_mantle": BEDROCK,
    "azure": _AZURE,
    "azure_ai": _AZURE,
    "azure_openai": _AZURE,
    "google-vertex": _VERTEX,
    "google_vertexai": _VERTEX,
    "vertex_ai": _VERTEX,
    "vertex_ai_beta": _VERTEX,
    "vercel_ai_gateway": _VERCEL,
    # Hosts of open weights, and others with prices of their own: nobody else's price can stand in for theirs.
    # Alibaba's are a third above those at which OpenRouter sells its models.
    "dashscope": Seller(("dashscope/",)),
    "avian": Seller(("avian/",)),
    "baseten": Seller(("baseten/",)),
    "cerebras": Seller(("cerebras/",)),
    "cloudflare": Seller(("cloudflare/",)),
    "databricks": Seller(("databricks/",)),
    "doubleword": Seller(("doubleword/",)),
    "fireworks": _FIREWORKS,
    "fireworks_ai": _FIREWORKS,
    "github-copilot": _COPILOT,
    "github_copilot": _COPILOT,
    "groq": Seller(("groq/",)),
    "modal": Seller(("modal/",)),
    "novita": Seller(("novita/",)),
    "ovhcloud": Seller(("ovhcloud/",)),
    "together": _TOGETHER,
    "together_ai": _TOGETHER,
}
"""By prefix: `azure/gpt-4o`."""

COLONS: dict[str, str] = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "gemini",
    "mistralai": "mistralai",
    "moonshotai": "moonshotai",
    "openai": "openai",
    "perplexity": "perplexity",
} | {prefix: prefix for prefix in SELLERS}
"""`openai:gpt-4o`: what PydanticAI and LangChain write before a colon, as it is written before a slash."""

PATHS: tuple[tuple[re.Pattern[str], Seller], ...] = (
    (
        re.compile(r"arn:aws[a-z-]*:bedrock:[^:/]*:[^:/]*:(?:foundation-model|inference-profile)/(?=.)"),
        BEDROCK,
    ),
    (re.compile(r"projects/[^/]+/locations/[^/]+/publishers/(?=[^/]+/models/.)"), _VERTEX),
    (re.compile(r"publishers/(?=[^/]+/models/.)"), _VERTEX),
    (re.compile(r"models/(?=.)"), _GOOGLE),
    (re.compile(r"accounts/fireworks/(?:models|routers)/(?=.)"), _FIREWORKS),
    (re.compile(r"@cf/(?=.)"), Seller(("cloudflare/@cf/",))),
)
"""Resource paths, which say the seller. An ARN of any other kind says no model."""

_HOSTS = "cerebras|fireworks-ai|groq|hyperbolic|nebius|novita|nscale|ovhcloud|publicai|sambanova|together"
_HOST = f"(?P<host>{_HOSTS})"
HUGGING_FACE_IDS: tuple[re.Pattern[str], ...] = (
    re.compile(rf"huggingface/{_HOST}/(?P<model>.+)"),
    re.compile(rf"(?:huggingface/)?(?P<model>[^/:]+/[^/:]+):{_HOST}"),
)
"""Of Hugging Face's router, which says the host first at LiteLLM and last in its own ids."""

PLACES: tuple[tuple[re.Pattern[str], Seller], ...] = (
    # How Bedrock is called, and where: LiteLLM's bedrock/converse/…, bedrock/us-east-1/….
    (re.compile(r"(?:converse_like|converse|invoke)/(?=.)"), BEDROCK),
    (re.compile(r"(?:us|eu|ap|ca|sa|me|af|il|mx)(?:-gov)?-[a-z]+-[0-9]/(?=.)"), BEDROCK),
    # Azure's deployment types, and its data zones: LiteLLM's azure/eu/….
    (re.compile(r"(?:global-standard|global|standard|apac|eu|us)/(?=.)"), _AZURE),
)
"""What may stand between a seller and the model without being a part of its name."""


@dataclass(frozen=True)
class Family:
    """Names that belong to one vendor. Open weights have many hosts, each with prices of its own."""

    names: re.Pattern[str]
    vendor: str
    open_weights: bool = False


def _family(names: str, vendor: str, open_weights: bool = False) -> Family:
    return Family(re.compile(rf"(?:{names})"), vendor, open_weights)


FAMILIES: tuple[Family, ...] = (
    # Names that only Groq gives to models of others.
    _family(r"llama-3\.[1-3]-[0-9]+b-(?:instant|specdec|versatile)\Z", "groq", True),
    _family(r"llama3-(?:8|70)b-8192\Z|mixtral-8x7b-32768\Z|gemma2-9b-it\Z", "groq", True),
    # Databricks' names of the models that it hosts.
    _family(r"databricks-", "databricks", True),
    _family(r"gpt-oss-", "openai", True),
    _family(r"gpt-[0-9]|gpt-(?:audio|chat|image|live|realtime|rosalind|transcribe)(?:-|\Z)", "openai"),
    _family(r"chatgpt-|chat-latest\Z|codex-mini|o[1-9](?:-|\Z)|computer-use-preview", "openai"),
    _family(r"text-embedding-(?:3-|ada)|(?:davinci|babbage)-002\Z|whisper-1\Z|tts-1(?:-|\Z)", "openai"),
    _family(r"claude-", "anthropic"),
    _family(r"gemini-", "google"),
    _family(r"gemma-", "google", True),
    _family(r"sonar(?:-|\Z)|pplx-|r1-1776\Z", "perplexity"),
    _family(r"grok-", "x-ai"),
    _family(r"mistral-(?:tiny|small|medium|large|saba|embed|ocr|moderation)(?:-|\Z)", "mistralai"),
    _family(r"(?:ministral|magistral|devstral|codestral|pixtral|voxtral)-", "mistralai"),
    _family(r"(?:mistral-nemo|open-(?:mistral|mixtral|codestral))(?:-|\Z)", "mistralai", True),
    _family(r"deepseek-", "deepseek", True),
    _family(r"kimi-|moonshot-v1-", "moonshotai", True),
    _family(r"qwen(?:[0-9.]|-|\Z)|qwq-", "qwen", True),
    # glm-4-32b may be z-ai's or thudm's, and GLM before 4.5 zhipuai's.
    _family(r"glm-(?:4\.[5-9]|[5-9])", "z-ai", True),
    _family(r"minimax-(?:m[0-9]|01)|m2-her\Z", "minimax", True),
    _family(r"command(?:-|\Z)|c4ai-aya-|embed-v4", "cohere"),
    _family(r"jamba-", "ai21"),
    _family(r"palmyra-", "writer"),
    _family(r"nova-", "amazon"),
    _family(r"muse-", "meta"),
    _family(r"mimo-v", "xiaomi", True),
    _family(r"voyage-", "voyageai"),
)
"""The first that matches counts."""

VENDORS = {
    "alibaba": "qwen",
    "arcee": "arcee-ai",
    "coherelabs": "cohere",
    "cohereforai": "cohere",
    "deepseek-ai": "deepseek",
    "meta-models": "meta",
    "minimaxai": "minimax",
    "mistral": "mistralai",
    "xai": "x-ai",
    "xiaomimimo": "xiaomi",
    "zai": "z-ai",
    "zai-org": "z-ai",
}
"""Vendors as Hugging Face, Bedrock and gateways write them: as OpenRouter does."""

BEDROCK_REGIONS = frozenset(
    {"apac", "au", "ca", "eu", "global", "in", "jp", "regional", "sa", "us", "us-gov"}
)
"""Before a Bedrock id, with a dot. All but `global` are billed at the price for one region."""

BEDROCK_VENDORS = {
    "ai21": "ai21",
    "amazon": "amazon",
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "google",
    "meta": "meta-llama",
    "minimax": "minimax",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "nvidia": "nvidia",
    "openai": "openai",
    "qwen": "qwen",
    "writer": "writer",
    "xai": "x-ai",
    "zai": "z-ai",
}
"""Before the dot of a Bedrock id: as OpenRouter writes them."""

SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Azure allows no dots in the names of deployments.
    (re.compile(r"\Agpt-35-"), "gpt-3.5-"),
    # One digit, a dash, one digit: a version. `ministral-3-3b` and `-05-20` are none.
    (re.compile(r"(?<![0-9.])([0-9])-([0-9])(?=-|\Z)"), r"\1.\2"),
    (re.compile(r"\Agrok-4-20(?=-|\Z)"), "grok-4.20"),
    # Anthropic's tier goes before the version since Claude 4, and after it before.
    (re.compile(r"\Aclaude-([4-9](?:\.[0-9])?)-(opus|sonnet|haiku|fable|mythos)(?=-|\Z)"), r"claude-\2-\1"),
    (re.compile(r"\Aclaude-(opus|sonnet|haiku)-(3(?:\.[0-9])?)(?=-|\Z)"), r"claude-\2-\1"),
    (re.compile(r"\A(claude-(?:opus|sonnet)-[4-9])\.0(?=-|\Z)"), r"\1"),
)
"""Ways to write one and the same name: as OpenRouter writes it. Each is applied in turn."""

OTHER_NAMES: dict[str, str] = {
    # Previews that Google sold at the price of the model that they became. genai-prices matches them by how
    # they begin, or by what they contain.
    "gemini-2.5-pro-preview-06-05": "gemini-2.5-pro",
    "gemini-2.5-flash-lite-preview-06-17": "gemini-2.5-flash-lite",
    "gemini-2.5-flash-preview-04-17": "gemini-2.5-flash-preview",
    "gemini-2.5-flash-preview-05-20": "gemini-2.5-flash-preview",
    # Vertex's name of the second snapshot.
    "claude-3-5-sonnet-v2": "claude-3-5-sonnet",
    # xAI sells both modes at one price.
    "grok-4.20-reasoning": "grok-4.20",
    "grok-4.20-non-reasoning": "grok-4.20",
    # Large 3 is Mistral's model of December 2025.
    "mistral-large-3": "mistral-large-2512",
    # AI21's own names, and OpenRouter's.
    "jamba-large-1.6": "jamba-1.6-large",
    "jamba-mini-1.6": "jamba-1.6-mini",
    # OpenAI's own name; genai-prices matches it by how it begins.
    "computer-use-preview": "computer-use",
    # The names under which the weights are published, and OpenRouter's.
    "deepseek-v3": "deepseek-chat",
    "deepseek-v3-0324": "deepseek-chat-v3-0324",
    "deepseek-v3.1": "deepseek-chat-v3.1",
    "kimi-k2-instruct": "kimi-k2",
    "kimi-k2-instruct-0905": "kimi-k2-0905",
    "qwen3-235b-a22b-instruct-2507": "qwen3-235b-a22b-2507",
    "qwen3-coder-480b-a35b-instruct": "qwen3-coder",
    # Bedrock's names of Claude 2.0 and 2.1, which have one price.
    "claude-v2": "claude-2",
    "claude-v2:1": "claude-2",
}
"""Other names of single models, without the vendor, that no rule leads to."""

SAME_PRICE: dict[str, str] = {
    # Vertex has one price for Claude Opus 4 and 4.1. genai-prices matches 4.1 by what its id contains.
    "google/claude-opus-4-1": "google/claude-4-opus",
    # genai-prices matches these by what they contain.
    "azure/o4-mini-2025-04-16": "azure/o4-mini",
    # OpenAI has one price for the fine-tunes of every gpt-3.5-turbo, and genai-prices cuts its name short.
    "openai/ft:gpt-3.5-turbo": "openai/ft:gpt-3.5-turbo-",
    "openai/ft:gpt-3.5-turbo-0125": "openai/ft:gpt-3.5-turbo-",
    "openai/ft:gpt-3.5-turbo-0613": "openai/ft:gpt-3.5-turbo-",
    "openai/ft:gpt-3.5-turbo-1106": "openai/ft:gpt-3.5-turbo-",
}
"""Names in the price book under which another name's price is to be found."""
