"""Kubernetes' quantities and time stamps."""
import datetime
import re

_SCALES = {"": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
           "Ki": 2 ** 10, "Mi": 2 ** 20, "Gi": 2 ** 30, "Ti": 2 ** 40}


def quantity(text):
    """"700m", "8Gi", 2: as a number."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text)).groups()
    return float(number) * _SCALES[unit]


def now():
    return datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro():
    """Leases have time stamps with fractions."""
    return datetime.datetime.utcnow().isoformat() + "Z"
