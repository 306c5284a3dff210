"""What the governor tells its database sessions."""

from __future__ import annotations


def session_dsn(dsn: str, *, denies_unknown_organizations: bool) -> str:
    """A DSN whose sessions know the policy for organizations that nobody has set up.

    It travels with the session, so that every function that decides sees it, called by whomever.
    """
    if not denies_unknown_organizations:
        return dsn
    return f"{dsn}{'&' if '?' in dsn else '?'}governor.unknown_organizations=deny"
