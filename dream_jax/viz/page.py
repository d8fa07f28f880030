"""HTML for pages and notebooks: pictures inside the page, text with its special characters."""

import base64
import html
import io
from collections.abc import Callable
from typing import IO, Any


def picture(data: bytes, kind: str, text: str) -> str:
    """An image inside the page. kind: for example "image/png"; text: what it shows."""
    source = base64.b64encode(data).decode()
    return f'<img alt="{html.escape(text)}" src="data:{kind};base64,{source}">'


def caption(text: str) -> str:
    """A line of text."""
    return f"<p>{html.escape(text)}</p>"


def written(write: Callable[[IO[bytes]], Any]) -> bytes:
    """What a function writes to the file that it is given."""
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()
