"""Stories by name."""
import fnmatch
import importlib
import pkgutil

STORIES = {}
LONG = set()   # begun first where stories are played side by side: nobody shall wait for one that began last
ALONE = set()  # nothing is played beside them: they change what all stories share, or want the whole machine


def story(name, long=False, alone=False):
    """Marks a function that takes a Stage and returns when everything it promises was seen. `long`: it takes more than a
    minute. `alone`: it stops or changes the cloud's own services, or keeps all cores busy."""
    def register(function):
        STORIES[name] = function
        if long:
            LONG.add(name)
        if alone:
            ALONE.add(name)
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


def beside(names):
    """Those of the names that may be played side by side, the long ones first."""
    return sorted((name for name in names if name not in ALONE), key=lambda name: name not in LONG)
