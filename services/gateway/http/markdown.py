"""Renders the Markdown subset that our descriptions use: paragraphs, lists, `code`, **bold** and [links](…)."""

import re
from html import escape

# Code first: its content is not marked up any further.
_INLINE = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\(((?:https?://|#|/)[^\s)]*)\)")


def inline(text: str) -> str:
    """Return one line of text as HTML."""
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        code, bold, label, target = found.groups()
        parts.append(escape(text[end : found.start()]))
        if code is not None:
            parts.append(f"<code>{escape(code)}</code>")
        elif bold is not None:
            parts.append(f"<strong>{inline(bold)}</strong>")
        else:
            parts.append(f'<a href="{escape(target)}">{inline(label)}</a>')
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def blocks(text: str) -> str:
    """Return text as HTML: an empty line ends a paragraph, and a paragraph of lines that begin with "- " is a list."""
    return "".join(_block(block.split("\n")) for block in text.strip().split("\n\n") if block)


def _block(lines: list[str]) -> str:
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{inline(' '.join(lines))}</p>"
