"""Articles become Markdown files below their organization's directory: each complete, or absent, and once."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.models import published
from tests.models.published import ARTICLE, DELIVERY, ORGANIZATION, OTHER_ORGANIZATION, SLUG, WORKFLOW
from workflow_service.clients.publishing.delivery import Delivery, PublishFailed
from workflow_service.domain.workflow import PublishKind, PublishTarget

# Delivers, and is killed before or after it calls a function of the operating system for the first time.
KILLED = """
import asyncio, os, sys
from pathlib import Path
from tests.models import published
from workflow_service.domain.workflow import PublishKind, PublishTarget

moment, when, root, location = sys.argv[1:]
call = getattr(os, moment)

def killed(*arguments, **named):
    try:
        if when == "after":
            call(*arguments, **named)
    finally:
        os.kill(os.getpid(), 9)

setattr(os, moment, killed)
target = PublishTarget(PublishKind.DIRECTORY, location)
asyncio.run(published.deliver(target, directory=Path(root)))
"""


@dataclass
class Deliver:
    root: Path

    @property
    def own(self) -> Path:
        return self.root / str(ORGANIZATION)

    async def __call__(self, location: str = "", delivery: Delivery = DELIVERY) -> Path:
        target = PublishTarget(PublishKind.DIRECTORY, location)
        return Path(await published.deliver(target, delivery, directory=self.root))


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    return Deliver(tmp_path / "published")


async def test_the_file(deliver: Deliver) -> None:
    """The file has front matter, body, and a name of slug and id; its directory can be named."""
    path = await deliver()
    assert path == deliver.own / str(WORKFLOW) / f"{SLUG}.md"
    text = path.read_text()
    assert text.startswith('---\ntitle: "A \\"practical\\" guide: ärzte"\nslug: "practical-guide"\n')
    assert f'article_id: "{ARTICLE.article_id}"\n' in text
    assert text.endswith(f"---\n\n{ARTICLE.body_markdown}\n")
    assert path.stat().st_mode & 0o777 == 0o644
    assert await deliver("acme/blog") == deliver.own / "acme" / "blog" / f"{SLUG}.md"


async def test_a_directory_belongs_to_its_organization(deliver: Deliver) -> None:
    """The same path, and a path that names another's directory, lead below the organization's own."""
    theirs = replace(DELIVERY, organization_id=OTHER_ORGANIZATION)
    assert await deliver("blog", theirs) == deliver.root / str(OTHER_ORGANIZATION) / "blog" / f"{SLUG}.md"
    assert await deliver("blog") == deliver.own / "blog" / f"{SLUG}.md"
    inside = await deliver(f"{OTHER_ORGANIZATION}/blog")
    assert inside == deliver.own / str(OTHER_ORGANIZATION) / "blog" / f"{SLUG}.md"
    assert len(list(deliver.root.rglob("*.md"))) == 3


async def test_a_repeat_leaves_the_file_as_it_is(deliver: Deliver) -> None:
    """A repeat keeps the file, even if a person has edited it; ten at once leave this one file only."""
    path = await deliver()
    path.write_text("edited by hand")
    assert await deliver() == path
    assert path.read_text() == "edited by hand"
    path.unlink()
    assert set(await asyncio.gather(*(deliver() for _ in range(10)))) == {path}
    assert list(path.parent.iterdir()) == [path]


async def test_writers_wait_for_one_another(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery waits while another process writes into the directory, and then finds its file."""
    path = deliver.own / "blog" / f"{SLUG}.md"
    path.parent.mkdir(parents=True)
    flock, waits = fcntl.flock, threading.Event()

    def note(descriptor: int, operation: int) -> None:
        waits.set()
        flock(descriptor, operation)

    other = os.open(path.parent, os.O_RDONLY)
    flock(other, fcntl.LOCK_EX)
    monkeypatch.setattr(fcntl, "flock", note)
    delivering = asyncio.create_task(deliver("blog"))
    assert await asyncio.to_thread(waits.wait, 60)
    assert list(path.parent.iterdir()) == []
    path.write_text("the other's")
    os.close(other)
    assert await delivering == path
    assert path.read_text() == "the other's"


async def test_a_write_that_fails_leaves_nothing(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a temporary failure without a path in its text, and leaves no file."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", full)
        with pytest.raises(PublishFailed, match="No space left on device") as raised:
            await deliver()
    assert raised.value.is_temporary
    assert str(deliver.root) not in str(raised.value)
    assert list((deliver.own / str(WORKFLOW)).iterdir()) == []
    assert (await deliver()).exists()


@pytest.mark.parametrize("moment", ["mkdir", "fsync", "fchmod", "rename", "unlink"])
async def test_a_kill_at_any_moment(deliver: Deliver, moment: str) -> None:
    """After `kill -9` the file is whole or absent, and the next run leaves one file."""
    for when in ("before", "after"):
        location = f"{moment}-{when}"
        deliver.root.mkdir(exist_ok=True)
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", KILLED, moment, when, str(deliver.root), location],
            check=False,
            capture_output=True,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        whole = f"---\n\n{ARTICLE.body_markdown}\n"
        for file in deliver.root.rglob(f"{location}/[!.]*"):
            assert file.read_text().endswith(whole)
        path = await deliver(location)
        assert path.read_text().endswith(whole)
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("location", ["../x", "a/../../x", "..", "/etc", "a\0b", "..\\x"])
async def test_a_path_outside_is_refused(deliver: Deliver, location: str) -> None:
    """For a path outside the organization's directory nothing is written."""
    with pytest.raises(PublishFailed, match="not below the publish directory") as raised:
        await deliver(location)
    assert not raised.value.is_temporary
    assert not deliver.root.exists()


@pytest.mark.parametrize("link", ["organization", "first", "last", "temporary"])
async def test_a_symbolic_link_leads_nowhere(deliver: Deliver, link: str) -> None:
    """A symbolic link in place of any directory is refused, also one to another organization's directory, and
    one in place of the temporary file is replaced."""
    elsewhere = deliver.root / str(OTHER_ORGANIZATION)
    (elsewhere / "blog").mkdir(parents=True)
    victim = elsewhere / "blog" / "victim"
    victim.write_text("theirs")
    match link:
        case "organization":
            deliver.own.symlink_to(elsewhere)
        case "first":
            deliver.own.mkdir()
            (deliver.own / "acme").symlink_to(elsewhere)
        case "last":
            (deliver.own / "acme").mkdir(parents=True)
            (deliver.own / "acme" / "blog").symlink_to(elsewhere / "blog")
        case "temporary":
            (deliver.own / "acme" / "blog").mkdir(parents=True)
            (deliver.own / "acme" / "blog" / f".{SLUG}.md.tmp").symlink_to(victim)
    if link == "temporary":
        assert (await deliver("acme/blog")).is_file()
    else:
        with pytest.raises(PublishFailed, match="cannot be written"):
            await deliver("acme/blog")
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == [victim]
    assert victim.read_text() == "theirs"


async def test_a_link_with_the_articles_name_is_no_article(deliver: Deliver, tmp_path: Path) -> None:
    """A symbolic link with the article's name is neither followed nor taken for the article."""
    (tmp_path / "target").write_text("theirs")
    (deliver.own / "blog").mkdir(parents=True)
    (deliver.own / "blog" / f"{SLUG}.md").symlink_to(tmp_path / "target")
    with pytest.raises(PublishFailed, match="no file") as raised:
        await deliver("blog")
    assert not raised.value.is_temporary
    assert (tmp_path / "target").read_text() == "theirs"


async def test_the_root_may_be_a_link(deliver: Deliver, tmp_path: Path) -> None:
    """The operator's own publish directory may be a symbolic link."""
    (tmp_path / "disk").mkdir()
    deliver.root.symlink_to(tmp_path / "disk")
    assert await deliver() == tmp_path / "disk" / str(ORGANIZATION) / str(WORKFLOW) / f"{SLUG}.md"
