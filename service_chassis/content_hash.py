"""The hash that shows whether two requests with one `request_id` ask for the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def content_hash(**content: object) -> bytes:
    """SHA-256 of what a request means: 32 bytes, equal for requests that ask for the same.

    Pass parsed values with defaults filled in, under the names of the contract: ids as UUIDs, models by their
    canonical ids, a list as its items joined by line feeds. Do not pass a field that only says how to answer.

    Hashes are stored, and later releases compare them with their own. Values that are None or "" do not
    count, so a field that a later release adds does not change the hash of a request without it. Never change
    the names, or the order in which a caller passes them: both decide the hash.
    """
    # No text in a request contains NUL, so different contents always give different bytes.
    said = [f"{name}={value}" for name, value in content.items() if value is not None and value != ""]
    return hashlib.sha256("\0".join(said).encode()).digest()


def labels_content(labels: Mapping[str, str]) -> str:
    """Labels for `content_hash`, sorted. No key contains `=`; no key or value contains a line feed."""
    return "\n".join([f"{key}={value}" for key, value in sorted(labels.items())])


def counts_content(counts: Mapping[str, int]) -> str:
    """Counts by name for `content_hash`, sorted. A count of 0 means the same as none."""
    return labels_content({name: str(count) for name, count in counts.items() if count})
