"""Whether two requests under one `request_id` ask for the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def content_hash(**content: object) -> bytes:
    """SHA-256 of what a request means: 32 bytes, equal for requests that ask for the same.

    Pass parsed values with defaults filled in, under the names of the contract: ids as UUIDs, models by their
    canonical ids, a list as its items joined by line feeds. Leave out what only says how to answer.

    Hashes are stored, and compared with those that later releases compute. So a value that is None or "" is
    left out, and a field that a later release adds changes no hash of a request without it. Never change what
    else decides the hash: the names, and the order in which a caller passes them.
    """
    # No text of a request has a NUL, so two different contents never make the same bytes.
    said = [f"{name}={value}" for name, value in content.items() if value is not None and value != ""]
    return hashlib.sha256("\0".join(said).encode()).digest()


def labels_content(labels: Mapping[str, str]) -> str:
    """Labels for `content_hash`: their order means nothing. A key has no `=`, and neither has a line feed."""
    return "\n".join([f"{key}={value}" for key, value in sorted(labels.items())])
