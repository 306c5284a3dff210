"""What is kept of the texts that a provider sends: nothing that repeats the API key or a prompt. Pure.

Every text of an answer passes through here before it leaves the client. Names go on into the journal and into
the governor's append-only ledger, error messages into logs and `last_error`, answers into results.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NAME_LENGTH_MAX: Final = 200
_MESSAGE_LENGTH_MAX: Final = 200
_PROMPT_RUN_LENGTH: Final = 24
_SECRET_LENGTH_MIN: Final = 12
_REMOVED: Final = "[removed]"

# Another key than ours, as providers quote it in an error: also shortened, such as "sk-pr…jkl".
_KEY_IN_MESSAGE: Final = re.compile(r"\b(sk|pk)-\w")
# A name may begin like that ("sk-telecom/ax"), so only one that is as long as a key is taken for a key.
_KEY_IN_NAME: Final = re.compile(r"\b(sk|pk)-[\w-]{20,}")


@dataclass(frozen=True, slots=True, repr=False)
class Confidential:
    """What no text of the provider's may repeat.

    A key of fewer than 12 characters is a placeholder (a server on this machine takes any): it is no secret,
    and ordinary words may contain it.
    """

    api_key: str
    prompts: Sequence[str]

    def name(self, value: object) -> str | None:
        """An id or a name: 1 to 200 printable characters. None for everything else."""
        if not isinstance(value, str) or not 0 < len(value) <= _NAME_LENGTH_MAX or not value.isprintable():
            return None
        return None if _KEY_IN_NAME.search(value) or self._is_in(value) else value

    def message(self, text: str) -> str:
        """An error's message as one printable line of at most 200 characters; "" if it has a secret."""
        line = "".join(letter if letter.isprintable() else " " for letter in text)
        line = " ".join(line[: 4 * _MESSAGE_LENGTH_MAX].split())
        # Looked at before it is cut: half a key would not be found.
        return "" if _KEY_IN_MESSAGE.search(line) or self._is_in(line) else line[:_MESSAGE_LENGTH_MAX]

    def answer(self, text: str) -> str:
        """The model's own text, with the key taken out. It may quote its prompt.

        PostgreSQL's text and jsonb take neither NUL nor lone surrogates, and JSON can contain both.
        """
        if self._has_secret_key:
            text = re.sub(re.escape(self.api_key), _REMOVED, text, flags=re.IGNORECASE)
        return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @property
    def _has_secret_key(self) -> bool:
        return len(self.api_key) >= _SECRET_LENGTH_MIN

    def _is_in(self, text: str) -> bool:
        """Whether `text` repeats the key, in any case, or 24 characters of a prompt."""
        if self._has_secret_key and self.api_key.lower() in text.lower():
            return True
        last = len(text) - _PROMPT_RUN_LENGTH
        runs = (text[start : start + _PROMPT_RUN_LENGTH] for start in range(last + 1))
        prompts = [" ".join(prompt.split()) for prompt in self.prompts]
        return any(run in prompt for run in runs for prompt in prompts)
