"""Governs a model call: places a hold before it, and settles the hold after it.

    with SyncGovernorClient.connect("127.0.0.1:50051") as governor:
        with governor.governed_call(models=["perplexity/sonar"], …) as call:
            hold = call.dispatch()                # the grant; from here on the call counts as sent
            answer = …                            # call hold.model, with max_tokens=hold.output_tokens_max
            call.settle(usage_of(answer), served_model=answer.model)

If the governor refuses, the first line raises the refusal and the block does not run. Otherwise the end of
the block ends the hold:

    the block ends before dispatch()          voided: nothing was sent
    it ends after dispatch(), unsettled       settled as unknown, and charged until the usage is known
    call.settle(usage) or call.void(reason)   settled or voided; without an answer from the governor, the
                                              end of the block tries once more

`usage_of` reads the usage out of a provider's own answer: OpenAI's, Anthropic's, Gemini's, Perplexity's or
OpenRouter's, as a mapping or an SDK's object. It raises ValueError for an answer without usage. Then settle
with None: the provider's cost is charged where you give it, or else the hold.

`GovernorClient` is the same for `async with`. Both have authorize, settle, void and get_authorization, too,
for callers that keep a journal of their own.

Every call has a deadline, which the governor gets as well. Until then the call is retried with the same
request_id while the governor is unavailable, so that nothing is done twice. What is raised:

    Refusal                          service_chassis.refusal: the governor refused, and nothing was changed
    └── GovernorUnavailableError     reason GOVERNOR_UNAVAILABLE: no answer in time; the request may have been
                                     carried out
"""

from governor_client._client import GovernedCall, GovernorClient
from governor_client._errors import GovernorUnavailableError
from governor_client._sync_client import SyncGovernedCall, SyncGovernorClient
from governor_client._usage import usage_of

__all__ = [
    "GovernedCall",
    "GovernorClient",
    "GovernorUnavailableError",
    "SyncGovernedCall",
    "SyncGovernorClient",
    "usage_of",
]
