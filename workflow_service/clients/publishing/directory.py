"""Markdown files with front matter, below a directory of their organization."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from workflow_service.clients.publishing.delivery import Delivery, PublishFailed

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_BELOW: Final = _OPEN_DIRECTORY | os.O_NOFOLLOW


class DirectoryPublisher:
    """A file that exists is left as it is, so a repetition changes nothing."""

    def __init__(self, root: Path, location: str) -> None:
        """`location` is a relative path below the organization's directory; "" is the workflow's id."""
        self._root = root
        self._location = location

    async def publish(self, delivery: Delivery) -> str:
        # If the caller is cancelled, the thread still finishes: the file is whole, or it does not exist.
        return await asyncio.to_thread(self._write, delivery)

    def _write(self, delivery: Delivery) -> str:
        path = _path_of(delivery, self._location)
        name = f"{delivery.article.slug}-{delivery.article.article_id.hex[:12]}.md"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            root = self._root.resolve()
            with _opened(root, path) as directory:
                if not _is_file(directory, name):
                    _write_whole(directory, name, _text_of(delivery))
        except OSError as error:
            # ELOOP and ENOTDIR: a symbolic link, or a file, is where a directory should be.
            message = f"the publish directory cannot be written: {error.strerror or type(error).__name__}"
            raise PublishFailed(message, is_temporary=True) from None
        return str(root / path / name)


def _path_of(delivery: Delivery, location: str) -> PurePosixPath:
    relative = PurePosixPath(location or str(delivery.workflow_id))
    if relative.is_absolute() or ".." in relative.parts or "\0" in location or "\\" in location:
        raise PublishFailed("the publish path is not below the publish directory", is_temporary=False)
    return PurePosixPath(str(delivery.organization_id)) / relative


@contextmanager
def _opened(root: Path, path: PurePosixPath) -> Iterator[int]:
    """The directory `path` below `root`, made if need be, and locked against other writers.

    Each part is opened below the one before it and may not be a symbolic link, so that nobody who can write
    into one directory can lead us into another, not even between two of our steps.
    """
    directory = os.open(root, _OPEN_DIRECTORY)
    try:
        for part in path.parts:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=directory)
                os.fsync(directory)
            parent, directory = directory, os.open(part, _OPEN_BELOW, dir_fd=directory)
            os.close(parent)
        fcntl.flock(directory, fcntl.LOCK_EX)  # released with the descriptor, also by a kill
        yield directory
    finally:
        os.close(directory)


def _is_file(directory: int, name: str) -> bool:
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise PublishFailed("something that is no file has the article's name", is_temporary=False)
    return True


def _write_whole(directory: int, name: str, text: str) -> None:
    """Writes all or nothing: the file gets its name only when its content is on the disk.

    A kill leaves at most the temporary file, which the next run writes anew. The caller has the lock.
    """
    temporary = f".{name}.tmp"
    with _removed(directory, temporary):
        descriptor = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o644,
            dir_fd=directory,
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # readers need it, whatever our umask is
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


@contextmanager
def _removed(directory: int, name: str) -> Iterator[None]:
    """The name is free at the beginning, and again at the end."""

    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)


def _text_of(delivery: Delivery) -> str:
    """The front matter is YAML: a JSON string is a valid YAML string."""
    article = delivery.article
    fields = {
        "title": article.title,
        "slug": article.slug,
        "description": article.meta_description,
        "article_id": str(article.article_id),
        "cluster_id": str(article.cluster_id),
        "workflow_id": str(delivery.workflow_id),
        "delivery_id": str(delivery.key),
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", article.body_markdown, ""])
