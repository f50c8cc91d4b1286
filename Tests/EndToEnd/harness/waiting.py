"""Waiting on conditions: stories never sleep for a guessed time."""
import http.client
import time


class StoryFailed(Exception):
    """A story's promise was not kept; the text says which one and what was seen instead."""


class NotYet(Exception):
    """Raised by a probe to say what it saw instead of what is waited for."""


def until(what, probe, within=60.0, every=0.5):
    """Calls `probe` until it returns something true, and returns that; fails after `within` seconds, telling the last
    thing that was seen. A probe that cannot look just now (connection refused, 404) is asked again."""
    deadline = time.monotonic() + within
    seen = "nothing yet"
    while True:
        try:
            value = probe()
            if value:
                return value
            seen = "it was %r" % (value,)
        except NotYet as why:
            seen = str(why)
        except (OSError, http.client.HTTPException, LookupError, ValueError) as error:
            seen = "%s: %s" % (type(error).__name__, error)
        if time.monotonic() > deadline:
            raise StoryFailed("not within %.0f s: %s; last seen: %s" % (within, what, seen))
        time.sleep(every)


def holds(what, probe, during=5.0, every=0.5):
    """Fails as soon as `probe` returns something false within the next `during` seconds."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        if not probe():
            raise StoryFailed("did not stay so for %.0f s: %s" % (during, what))
        time.sleep(every)


def check(condition, what):
    """A promise that must hold now."""
    if not condition:
        raise StoryFailed(what)
