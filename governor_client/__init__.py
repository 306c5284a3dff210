"""The guard around a model call: a hold before it, a settlement after it.

    with SyncGovernorClient.connect("127.0.0.1:50051") as governor:
        with governor.governed_call(models=["perplexity/sonar"], …) as call:
            hold = call.dispatch()                # what was granted; from here on the call counts as sent
            answer = …                            # call hold.model, with max_tokens=hold.output_tokens_max
            call.settle(Usage(input_tokens=answer.…), served_model=answer.model)

No authorization, no block: what refuses is raised by its first line. However the block ends, the hold ends
with it:

    it ends before dispatch()                 voided: nothing was sent
    it ends after dispatch(), unsettled       settled as unknown, and charged until the truth is known
    call.settle(usage) or call.void(reason)   as told; should the governor not answer, the end of the block
                                              tries once more

`GovernorClient` is the same for `async with`, and both have authorize, settle, void and get_authorization by
themselves, for those who keep a journal of their own.

Every call has a deadline, passed on to the governor, and is tried again within it, under the same request_id,
while the governor cannot be reached; nothing is done twice by that. What is raised:

    Refusal                          service_chassis.refusal: the governor said no, nothing was changed
    └── GovernorUnavailableError     reason GOVERNOR_UNAVAILABLE: no answer in time, and what was asked for
                                     may have been done all the same
"""

from governor_client._client import GovernedCall, GovernorClient
from governor_client._errors import GovernorUnavailableError
from governor_client._sync_client import SyncGovernedCall, SyncGovernorClient

__all__ = [
    "GovernedCall",
    "GovernorClient",
    "GovernorUnavailableError",
    "SyncGovernedCall",
    "SyncGovernorClient",
]
