"""Every command in the documents is run word for word, and prints the output that the document shows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.served_pair import REPOSITORY, pair_environment, served_pair
from tests.docs.grpcurl import NoGrpcurlError, directory_of_grpcurl
from tests.docs.markdown import LANGUAGES, Block, blocks, documents
from tests.docs.matching import Names, compare
from tests.docs.shell import Shell, with_first_on_path

_SERVE = "make serve"

_PRICE_IMPORT = (
    "it needs a PostgreSQL of the reader's own, and a yes; "
    "tests/pricing/test_import_prices.py runs the same command"
)
_NOT_RUN = {
    "export GOVERNOR_DATABASE_URL=postgresql://governor:PASSWORD@HOST/governor": _PRICE_IMPORT,
    ".venv/bin/python -m governor_service.price_lists import genai-prices": _PRICE_IMPORT,
    ".venv/bin/python -m governor_service.price_lists import openrouter": _PRICE_IMPORT,
}


def _sessions() -> list[Path]:
    return [path for path in documents() if any(_run(path))]


def _run(path: Path) -> Iterator[Block]:
    return (block for block in blocks(path) if block.language == "console" and block.not_run is None)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", _sessions(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_document_shows_what_its_commands_print(path: Path, scratch_dir: Path) -> None:
    """A document is one session in one shell: later commands see what earlier ones did and set.

    `make serve` runs until the end of the document, on free ports; its output until it is ready is compared.
    """
    try:
        tools, missing = directory_of_grpcurl(), {}
    except NoGrpcurlError as error:
        tools, missing = None, {"grpcurl": str(error)}
    if shutil.which("curl") is None:
        missing["curl"] = "curl is not on PATH"
    data_dir = scratch_dir / f"docs-{path.stem}"
    names = Names()
    wrong: list[str] = []
    left_out: set[str] = set()
    with ExitStack() as running:
        shell = running.enter_context(Shell(with_first_on_path(tools, pair_environment(data_dir))))

        def output_of(command: str) -> list[str]:
            if command != _SERVE:
                return shell.run(names.typed(command))
            pair = running.enter_context(served_pair(data_dir, _SERVE.split()))
            return [*pair.log().splitlines(), f"ready governor={pair.governor} workflow={pair.workflow}"]

        for command in (command for block in _run(path) for command in block.commands()):
            if without := missing.keys() & set(re.findall(r"\w+", command.text)):
                reason = missing[without.pop()]
                left_out.add(reason)
                # Later commands cannot use the variables that this command would have set.
                missing.update(dict.fromkeys(re.findall(r"^(\w+)=", command.text), reason))
                continue
            try:
                difference = compare(command.output, output_of(command.text), names)
            except LookupError as error:
                difference = f"no command before this one has shown the port {error}"
            if difference is not None:
                wrong.append(f"{path.name}:{command.line}: $ {command.text}\n  {difference}")
    assert not wrong, "\n\n".join(wrong)
    if left_out:
        pytest.skip(
            f"{'; '.join(sorted(left_out))}: commands that need it were left out, all others were run"
        )


def test_what_is_not_run() -> None:
    """Each session that is not run says why in a hidden comment, and is listed here."""
    found = {
        command.text: block.not_run
        for path in documents()
        for block in blocks(path)
        if block.language == "console" and block.not_run is not None
        for command in block.commands()
    }
    assert found == _NOT_RUN


def test_every_block_says_what_it_is() -> None:
    """Every block has a known language, since commands in other blocks would not be run."""
    for path in documents():
        for block in blocks(path):
            assert block.language in LANGUAGES, f"{block.place}: {block.language!r}"
            if block.language != "console":
                assert block.not_run is None, f"{block.place}: `not run` belongs to a session"
                assert "\n$ " not in "\n" + block.content, f"{block.place}: a command"


def test_python_is_quoted_from_the_examples() -> None:
    """Every Python block is a quotation from an example, and the examples are run."""
    sources = [_unindented(example.read_text()) for example in (REPOSITORY / "examples").glob("*.py")]
    for path in documents():
        for block in blocks(path):
            if block.language == "python":
                quoted = _unindented(block.content)
                assert any(quoted in source for source in sources), block.place


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def test_every_example_is_run() -> None:
    run = "\n".join(
        command.text for path in documents() for block in _run(path) for command in block.commands()
    )
    for example in (REPOSITORY / "examples").iterdir():
        if example.is_file():
            assert f"examples/{example.name}" in run, f"{example.name} is in no document's session"
