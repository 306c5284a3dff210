"""Build hook: protoc generates the Python stubs beside the protos. They are never committed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtobufStubs(BuildHookInterface[Any]):
    """Runs before every build, editable ones included."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        generate(Path(self.root))


def generate(root: Path) -> None:
    from grpc_tools import protoc

    # Without build isolation protoc finds its mypy plugins only through PATH.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    protos = root / "protos"
    sources = sorted(str(path) for path in protos.rglob("*.proto"))
    well_known = Path(protoc.__file__).parent / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"-I{protos}",
            f"-I{well_known}",
            f"--python_out={protos}",
            f"--grpc_python_out={protos}",
            f"--mypy_out=quiet:{protos}",
            # A servicer need not implement RPCs that are not built yet.
            f"--mypy_grpc_out=generate_concrete_servicer_stubs,quiet:{protos}",
            *sources,
        ]
    )
    if status:
        raise RuntimeError(f"protoc exited with {status}")


if __name__ == "__main__":
    generate(Path(__file__).parent)
