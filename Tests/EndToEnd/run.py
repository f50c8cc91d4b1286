"""Plays the stories. `scripts/e2e` sets everything up and calls this."""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

import stories
from harness import registry
from harness.lanes import Lanes

STORY_LIMIT = 600  # seconds: no story may hang the run


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or the time limit."""


def interrupt(number, _frame):
    raise Interrupted("the story took longer than %d s" % STORY_LIMIT if number == signal.SIGALRM
                      else "stopped by %s" % signal.Signals(number).name)


def play(name, rigs, keep):
    """Plays one story; returns None, or why it failed."""
    from harness.stage import Stage
    from harness.waiting import StoryFailed

    begun = time.monotonic()

    def say(text):
        print("  [%5.1f s] %s" % (time.monotonic() - begun, text), flush=True)

    print("%s" % name, flush=True)
    stage, failed, trace = Stage(rigs, name, say), None, ""
    signal.alarm(STORY_LIMIT)
    try:
        registry.STORIES[name](stage)
    except Interrupted as why:
        if signal.alarm(0):
            stage.close()
            raise
        failed = str(why)
    except StoryFailed as why:
        failed = str(why)
    except Exception as error:
        # In one line, as the others: the summary shows it. Where it came from follows.
        failed = "%s: %s" % (type(error).__name__, " ".join(str(error).split()))
        trace = traceback.format_exc()
    signal.alarm(0)
    if failed:
        print("  FAILED: %s" % failed, flush=True)
        for line in trace.splitlines():
            print("    " + line, flush=True)
        for line in stage.report():
            print("    " + line, flush=True)
    print("  %s after %.1f s" % ("failed" if failed else "ok", time.monotonic() - begun), flush=True)
    if keep:
        print("  kept: logs in %s, stack %s, namespace %s, cluster %s; Ctrl-C ends the services" % (
            stage.folder, stage.stack.name, stage.namespace, stage.cluster), flush=True)
        try:
            signal.pause()
        finally:
            stage.close()
    stage.close()
    try:
        stage.strike()
    except Exception as error:
        failed = failed or "cleaning up: %s" % error
        print("  cleaning up failed: %s" % error, flush=True)
    return failed


def cluster(text):
    folder, _, port = text.rpartition(":")
    return folder, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patterns", nargs="*", help="parts of names, or globs; all stories without")
    parser.add_argument("--list", action="store_true", help="print the names, one a line, and leave")
    parser.add_argument("--keep", action="store_true", help="leave the last story running until Ctrl-C")
    parser.add_argument("--binaries", help="folder of the services' programs")
    parser.add_argument("--openstack", help="state folder of the OpenStack rig")
    parser.add_argument("--cluster", type=cluster, action="append", default=[], metavar="DIR:PORT",
                        help="folder of a cluster's certificates, and its port; with several, stories are played side by side")
    parser.add_argument("--work", help="where logs go; kept when given")
    parser.add_argument("--one", help="play this story alone, making and sweeping only stacks of --prefix; for lanes")
    parser.add_argument("--prefix", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    registry.load(stories)
    names = [arguments.one] if arguments.one else registry.matching(arguments.patterns)
    if arguments.list:
        print("\n".join(names))
        return 0
    if not names:
        print("no story matches %s" % " ".join(arguments.patterns), file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, interrupt)

    from harness.stage import PREFIX, Rigs
    work = arguments.work or tempfile.mkdtemp(prefix="updraft-e2e.")
    project = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    begun, failures = time.monotonic(), {}

    def rigs(prefix):
        return Rigs(project, work, arguments.binaries, arguments.openstack, arguments.cluster[0], prefix)

    def play_all(names):
        here = rigs(arguments.prefix or PREFIX)
        for name in names:
            failed = play(name, here, arguments.keep and name == names[-1])
            if failed:
                failures[name] = failed

    try:
        if len(arguments.cluster) > 1:
            rigs(PREFIX).sweep()  # stacks of an earlier run: lanes sweep their own only
            lanes = Lanes([[
                sys.executable, "-B", os.path.abspath(__file__), "--binaries", arguments.binaries,
                "--openstack", arguments.openstack, "--cluster", "%s:%d" % each, "--work", work,
                "--prefix", "%s%d-" % (PREFIX, number), "--one"] for number, each in enumerate(arguments.cluster, 1)])
            failures.update(lanes.play(registry.beside(names)))
            play_all([name for name in names if name in registry.ALONE])
        else:
            play_all(names)
    except Interrupted as why:
        print("\n%s" % why, flush=True)
        return 130
    if arguments.one:
        return 1 if failures else 0
    print("%d of %d stories ok in %.0f s" % (len(names) - len(failures), len(names), time.monotonic() - begun))
    for name, why in failures.items():
        print("  %s: %s" % (name, why.strip().splitlines()[-1]))
    if failures:
        print("logs: %s" % work)
    elif not arguments.work:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
