"""Secrets out of texts: what foreign libraries put into their messages must not reach a terminal, a log or a report.

Known by their form, not by their value: nobody below the command line reads the environment.
"""

from __future__ import annotations

import re

__all__ = ["redacted"]

HIDDEN = "…"
_FORMS = (
    (re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}"), HIDDEN),  # tokens of the Hugging Face hub
    (
        re.compile(r"(?i)(authorization\W{1,6}(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]+"),
        rf"\1 {HIDDEN}",
    ),  # RFC 9110, 11.4
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]*@"), rf"\1{HIDDEN}@"),  # user and password in an address
    (re.compile(r"(?i)([?&](?:token|signature|x-amz-[a-z-]+|key-pair-id|policy)=)[^&\s'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),  # access keys of AWS
)


def redacted(text: str) -> str:
    """``text`` without tokens, passwords and signed parts of addresses."""
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text
