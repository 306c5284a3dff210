"""The asynchronous client of the governor: a hold before each model call, a settlement after it.

    async with GovernorClient.connect("127.0.0.1:50051") as governor:
        authorization = await governor.authorize(...)    # no authorization, no call
        ...                                              # call authorization.model, max_tokens as granted
        await governor.settle(...)                       # or void, where nothing was sent

Every call has a deadline and is tried again within it, under the same request_id, while the governor cannot
be reached; nothing is done twice by that. What is raised:

    Refusal                          service_chassis.refusal: the governor said no, nothing was changed
    └── GovernorUnavailableError     reason GOVERNOR_UNAVAILABLE: no answer in time, and what was asked for
                                     may have been done all the same
"""

from governor_client._client import GovernorClient
from governor_client._errors import GovernorUnavailableError

__all__ = ["GovernorClient", "GovernorUnavailableError"]
