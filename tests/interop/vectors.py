"""The vectors that stand beside the protocol."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "protocol/tests/vectors" / f"{name}.json").read_text())
    return loaded


def unhex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]
