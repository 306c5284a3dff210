"""What a model id may be called in the price book.

People send the same model under many ids: the vendor's own, OpenRouter's, a cloud's, a library's. From an id
follow names, most specific first; the database takes the first that is an alias or has a price. If none has
one, the last name stands for the model, and it is unpriced. The rules only take parts of an id away or write
them as the price book does. They look at no price, so that an id leads to the same names everywhere.

- The id itself, in lower case, comes first: an operator's alias or price for it always counts.
- What leads to the seller is taken off (`bedrock/converse/`, an ARN, `publishers/google/models/`), and its
  models are called `seller/model`. A vendor's own API is `vendor-direct/model` where it has another price
  than at OpenRouter, else `vendor/model`.
- A provider after `@` and a variant after `:` come off, the variant last: `gpt-4o:extended` has a price of
  its own. `:free` has the price of the model itself, since no name makes a call free.
- A full date at the end is a snapshot (`-20251222`, `-2024-07-18`), and so is `-latest` where a version is
  named. Other numbers stay (`-0324`, `-2507`, `-08-2024`): listings have separate prices for such models.
- A version is written with a dot (`4-5` is `4.5`), and Claude's tiers stand where OpenRouter puts them.
- A name without a vendor gets one if its family belongs to a single vendor. `glm-4-32b` may be several.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from governor_service.domain import model_name_tables as tables
from governor_service.domain.model_name_tables import Seller

NAMES_MAX = 10

_PRICEABLE = re.compile(r"(?!.*[A-Z])[!-~]{1,200}")
_FULL_DATE = re.compile(r"(?<=.)-20[0-9]{2}(?:(-)?)(?:0[1-9]|1[0-2])(?(1)-)(?:0[1-9]|[12][0-9]|3[01])\Z")
_LATEST = re.compile(r"(?<=.)-latest\Z")
# `ministral-3b-latest` names a size.
_VERSION = re.compile(r"[0-9](?![0-9]*b(?:-|\Z))")
_STABLE = re.compile(r"(?<=.)-00[0-9]\Z")
_TAILS = re.compile(r"(?<=.)(?=@|:[^0-9])")
_VERSION_TAIL = re.compile(r"@(?:20[0-9]{6}|(?:[0-9]{4}-)?00[0-9]|default|latest)\Z")
# `openrouter/auto` is a model of OpenRouter's own.
_GATEWAY = re.compile(r"litellm_proxy/(?=.)|openrouter[/:](?=.*/)")
_BEDROCK_ID = re.compile(
    rf"(?:({'|'.join(tables.BEDROCK_REGIONS)})\.)?({'|'.join(tables.BEDROCK_VENDORS)})\.(?P<model>[^/]+)"
)
_BEDROCK_VERSION = re.compile(r"(?<=.)(?:-v[0-9]+(?::[0-9]+)?|(?:-[0-9]+)?:[0-9]+)\Z")
_AZURE_FINE_TUNE = re.compile(r"(.+-20[0-9]{2}-[0-9]{2}-[0-9]{2}\.ft-)[^/]*")

_Steps = tuple[str, ...]
_Named = Iterable[tuple[str, _Steps]]


@dataclass(frozen=True)
class Resolution:
    """Names that a model may have in the price book, most specific first, and how each was found."""

    names: tuple[str, ...]
    steps_by_name: tuple[tuple[str, ...], ...]

    def steps_of(self, index: int) -> tuple[str, ...]:
        """The steps from the id to a name, in order, for people to read."""
        return self.steps_by_name[index]

    @property
    def model(self) -> str:
        """The name that stands for the model if none has a price."""
        return self.names[-1]

    @property
    def steps(self) -> tuple[str, ...]:
        """How that name was found."""
        return self.steps_by_name[-1]


@lru_cache(maxsize=4096)
def candidate_names(model_id: str) -> Resolution:
    """The names that a model id may have in the price book."""
    found: dict[str, _Steps] = {}
    for name, steps in _names(model_id):
        found.setdefault(name, steps)
    ranked = list(found.items())
    if len(ranked) > NAMES_MAX:
        ranked = [*ranked[: NAMES_MAX - 1], ranked[-1]]
    return Resolution(tuple(name for name, _ in ranked), tuple(steps for _, steps in ranked))


canonical_model = candidate_names


def resolve(names: Sequence[str], has_price: Callable[[str], bool], aliases: Mapping[str, str]) -> str:
    """What the database makes of an id: the model of the first name that is an alias or has a price, else the
    last name, which is unpriced."""
    for name in names:
        if name in aliases:
            return aliases[name]
        if has_price(name):
            return name
    return names[-1]


def is_priceable(model: str) -> bool:
    """Whether the price book takes a name: up to 200 printable ASCII characters, none in upper case."""
    return _PRICEABLE.fullmatch(model) is not None


def _names(model_id: str) -> _Named:
    stripped = model_id.strip()
    name = "-".join(stripped.lower().split())
    steps: _Steps = ("whitespace",) * (name != model_id.lower()) + ("case",) * (stripped.lower() != stripped)
    yield name, steps
    while said := _GATEWAY.match(name):
        name, steps = name[said.end() :], (*steps, f"prefix {said[0]}")
        yield name, steps
    seller, name, before = _seller(name)
    bedrock = _BEDROCK_ID.fullmatch(name) if seller in (None, tables.BEDROCK) else None
    named: _Named
    if (fine_tune := _fine_tune(seller, name)) is not None:
        named = fine_tune
    elif bedrock:
        named = _bedrock_names(bedrock)
    elif seller:
        named = _sold_names(seller, name)
    else:
        named = _vendor_names(name)
    for found, after in named:
        yield found, (*steps, *before, *after)
        if found in tables.SAME_PRICE:
            same = tables.SAME_PRICE[found]
            yield same, (*steps, *before, *after, f"price of {same}")


def _seller(name: str) -> tuple[Seller | None, str, _Steps]:
    """The seller that an id says, the rest of the id, and the steps that took the seller off."""
    steps: _Steps = ()
    head, _, rest = name.partition(":")
    if rest and head in tables.COLONS:
        name, steps = f"{tables.COLONS[head]}/{rest}", (f"prefix {head}:",)
    head, _, rest = name.partition("/")
    for hosted in tables.HUGGING_FACE_IDS:
        if head not in tables.SELLERS and (said := hosted.fullmatch(name)):
            own = f"huggingface_{said['host']}/"
            return Seller((own,)), said["model"], (*steps, f"host {said['host']}")
    seller: Seller | None = None
    if rest and head in tables.SELLERS:
        seller, name, steps = tables.SELLERS[head], rest, (*steps, f"prefix {head}/")
    while True:
        paths = tables.PATHS if seller is None else (*tables.PATHS, *tables.PLACES)
        taken = ((of, path.match(name)) for path, of in paths if seller in (None, of))
        seller, said = next(((of, said) for of, said in taken if said), (seller, None))
        if not said:
            return seller, name, steps
        # Vertex puts the publisher before the model: publishers/google/models/….
        name, steps = name[said.end() :].replace("/models/", "/", 1), (*steps, f"prefix {said[0]}")


def _vendor_names(name: str) -> _Named:
    """Of an id that says no seller: `vendor/model`, or a bare name whose family is a vendor's."""
    yield name, ()
    head, slash, model = name.rpartition("/")
    # OpenRouter lists some models without their vendors, beside models of its own, like openrouter/auto.
    family = _family(model) if head in ("", "openrouter") else None
    vendor = family.vendor if family else tables.VENDORS.get(head, head)
    steps: _Steps = (f"vendor {vendor}/",) * (vendor != head)
    if not vendor and not slash and ":" in model:
        # Any name may stand before a colon. Only a vendor's model has variants.
        return
    for stem, after in _stems(model):
        yield f"{vendor}/{stem}" if vendor or slash else stem, (*after, *steps)


def _sold_names(seller: Seller, name: str) -> _Named:
    """Of an id that says its seller: its names, and the vendor's if it sells at the vendor's price."""
    head, slash, model = name.rpartition("/")
    family = _family(model)
    if seller.says_vendor and family and tables.VENDORS.get(head, head) == family.vendor:
        slash = ""
    before = f"{head}/" if slash else ""
    resold = family is not None and not before and not family.open_weights and family.vendor in seller.resells
    for stem, steps in _stems(model):
        # Another vendor's model is not `direct` from its seller.
        for own in seller.own[-1:] if resold else seller.own:
            yield f"{own}{before}{stem}", (*steps, f"seller {own}")
        if family and resold:
            yield f"{family.vendor}/{stem}", (*steps, f"the vendor's price, {family.vendor}/")


def _bedrock_names(said: re.Match[str]) -> _Named:
    """Of a Bedrock id. Where the regions cost otherwise than the global endpoint, the price book names both;
    AWS sells all others in regions only."""
    region, vendor, model = said[1], tables.BEDROCK_VENDORS[said[2]], said["model"]
    at: _Steps = (f"region {region}.",) if region else ("no region",)
    forms = list(bedrock_forms(model))
    for scope in (f"{region}.",) if region in ("global", "regional") else ("", "regional."):
        for form, steps in forms:
            yield f"aws/{scope}{said[2]}.{form}", (*at, *steps, "seller aws/")
    undated, steps = forms[-1]
    family = _family(undated)
    if vendor in tables.BEDROCK.resells and family and family.vendor == vendor and not family.open_weights:
        for stem, after in _stems(undated):
            yield f"{vendor}/{stem}", (*at, *steps, *after, f"the vendor's price, {vendor}/")


def bedrock_forms(model: str) -> _Named:
    """A Bedrock model's name, then without its version, then without its date."""
    yield model, ()
    steps: _Steps = ()
    while model not in tables.OTHER_NAMES:
        if said := _BEDROCK_VERSION.search(model):
            steps = (*steps, f"version {said[0]}")
        elif said := _FULL_DATE.search(model):
            steps = (*steps, f"date {said[0]}")
        else:
            break
        model = model[: said.start()]
        yield model, steps


def _fine_tune(seller: Seller | None, name: str) -> list[tuple[str, _Steps]] | None:
    """Of a fine-tune: the price for fine-tunes of its base. The base's own price is none for it."""
    model = name.rpartition("/")[2]
    if said := _AZURE_FINE_TUNE.fullmatch(model):
        return [(f"openai/{said[1]}", ("fine-tune",))]
    if not model.startswith("ft:"):
        return None
    base = model.split(":")[1]
    family = _family(base)
    if not family or (seller and f"{family.vendor}/" not in seller.own):
        return []
    steps = (f"fine-tune of {base}",)
    return [(f"{family.vendor}/ft:{stem}", (*steps, *after)) for stem, after in _snapshots(base)]


def _stems(model: str) -> _Named:
    """A model's name as it is written, then without what may be no part of it."""
    base, *tails = _TAILS.split(model)
    variant = "".join(tail for tail in tails if tail[0] == ":")
    steps: _Steps = tuple(
        f"{'version' if _VERSION_TAIL.fullmatch(tail) else 'provider'} {tail}"
        for tail in tails
        if tail[0] == "@"
    )
    for kept, after in dict.fromkeys(
        [(variant, steps), ("", (*steps, *(f"variant {variant}",) * bool(variant)))]
    ):
        for stem, more in _snapshots(base):
            yield stem + kept, (*after, *more)
            if (spelled := spelling(stem)) != stem:
                yield spelled + kept, (*after, *more, f"spelling {stem} → {spelled}")


def _snapshots(model: str) -> _Named:
    """A model's name, then without its dates."""
    steps: _Steps = ()
    while True:
        yield model, steps
        if other := tables.OTHER_NAMES.get(model) or tables.OTHER_NAMES.get(spelling(model)):
            model, steps = other, (*steps, f"other name of {other}")
        elif said := _FULL_DATE.search(model):
            model, steps = model[: said.start()], (*steps, f"date {said[0]}")
        elif (said := _LATEST.search(model)) and _VERSION.search(model):
            model, steps = model[: said.start()], (*steps, said[0])
        elif (said := _STABLE.search(model)) and model.startswith("gemini-"):
            model, steps = model[: said.start()], (*steps, f"version {said[0]}")
        else:
            return


def spelling(model: str) -> str:
    """A model's name, without its vendor, as the rules write it."""
    while True:
        spelled = model
        for written, ours in tables.SPELLINGS:
            spelled = written.sub(ours, spelled)
        if spelled == model:
            return model
        model = spelled


def _family(model: str) -> tables.Family | None:
    base = _TAILS.split(model)[0]
    return next((family for family in tables.FAMILIES if family.names.match(base)), None)
