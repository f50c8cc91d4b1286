"""Stories by name."""
import fnmatch
import importlib
import pkgutil

STORIES = {}


def story(name):
    """Marks a function that takes a Stage and returns when everything it promises was seen."""
    def register(function):
        STORIES[name] = function
        return function
    return register


def load(package):
    """Imports every module of the package; returns the stories in the order of modules and lines."""
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        importlib.import_module("%s.%s" % (package.__name__, module))
    return STORIES


def matching(patterns):
    """Names that contain one of the patterns or match it as a glob; all without patterns."""
    return [name for name in STORIES
            if not patterns or any(p in name or fnmatch.fnmatch(name, p) for p in patterns)]
