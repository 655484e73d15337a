"""A place for a photograph, which hands on what was dropped as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import component_meta


@contextmanager
def _no_stubs() -> Iterator[None]:
    """Keep Gradio from writing a .pyi file beside this one when the class is made."""
    write = component_meta.create_or_modify_pyi
    component_meta.create_or_modify_pyi = lambda *args: None
    try:
        yield
    finally:
        component_meta.create_or_modify_pyi = write


with _no_stubs():

    class Photograph(gr.Image):  # type: ignore[misc]
        """Gradio's image, which would decode a file and perhaps rewrite it: this one gives the file itself."""

        def get_block_name(self) -> str:
            """Name what draws it in the browser."""
            return "image"

        def preprocess(self, payload: Any) -> Any:
            """Give the file and the name it had where the user took it from."""
            if payload is None or payload.path is None:
                return None
            return {"path": payload.path, "name": payload.orig_name or Path(payload.path).name}
