"""What goes wrong by the reader's input: one line, said once, caught by the command line alone."""

from __future__ import annotations


class BadRunError(Exception):
    """Something cannot be read or answered; the message is one line that says what was read and what was expected."""
