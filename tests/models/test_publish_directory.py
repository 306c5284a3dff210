"""Articles become Markdown files below the publish directory: each complete, or absent, and written once."""

# ruff: noqa: ASYNC240 - a test may wait for its own small files
from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.models.published import ARTICLE, KEY, SLUG, WORKFLOW
from workflow_service.clients.publishers import Publishers, PublishFailed
from workflow_service.domain.workflow import PublishKind, PublishTarget


@dataclass
class Deliver:
    root: Path

    async def __call__(self, location: str = "") -> str:
        publishers = Publishers(self.root)
        try:
            publisher = publishers.for_target(PublishTarget(PublishKind.DIRECTORY, location))
            return await publisher.publish(ARTICLE, workflow_id=WORKFLOW, idempotency_key=KEY)
        finally:
            await publishers.close()


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    return Deliver(tmp_path / "published")


async def test_the_file(deliver: Deliver) -> None:
    """The file has front matter, body, and a name of slug and id; its directory can be named."""
    path = Path(await deliver())
    assert path == deliver.root / str(WORKFLOW) / f"{SLUG}.md"
    text = path.read_text()
    assert text.startswith('---\ntitle: "A \\"practical\\" guide: ärzte"\nslug: "practical-guide"\n')
    assert f'article_id: "{ARTICLE.article_id}"\n' in text
    assert text.endswith(f"---\n\n{ARTICLE.body_markdown}\n")
    assert path.stat().st_mode & 0o777 == 0o644
    assert Path(await deliver("acme/blog")) == deliver.root / "acme" / "blog" / f"{SLUG}.md"


async def test_a_repeat_leaves_the_file_as_it_is(deliver: Deliver) -> None:
    """A repeat keeps the file, even if a person has edited it; ten at once leave this one file only."""
    path = Path(await deliver())
    path.write_text("edited by hand")
    assert Path(await deliver()) == path
    assert path.read_text() == "edited by hand"
    path.unlink()
    assert {Path(location) for location in await asyncio.gather(*(deliver() for _ in range(10)))} == {path}
    assert list(path.parent.iterdir()) == [path]


async def test_a_write_that_fails_leaves_nothing(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a temporary failure without a path in its text, and leaves no file."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(PublishFailed, match="No space left on device") as raised:
            await deliver()
    assert raised.value.is_temporary
    assert str(deliver.root) not in str(raised.value)
    assert list((deliver.root / str(WORKFLOW)).iterdir()) == []
    assert Path(await deliver()).exists()


@pytest.mark.parametrize("location", ["../x", "a/../../x", "/etc", "a\0b", "..\\x"])
async def test_a_path_outside_is_refused(deliver: Deliver, location: str) -> None:
    """For a path outside the directory nothing is written."""
    with pytest.raises(PublishFailed, match="not below the publish directory"):
        await deliver(location)
    assert not deliver.root.exists()


async def test_a_symbolic_link_does_not_lead_outside(deliver: Deliver, tmp_path: Path) -> None:
    """A symbolic link that points out of the directory is refused."""
    deliver.root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (deliver.root / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublishFailed, match="leaves the publish directory"):
        await deliver("out")
    assert list((tmp_path / "elsewhere").iterdir()) == []
