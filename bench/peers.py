"""Other tools on the same rows in the same run: sling and dlt, both from PyPI, into a virtual environment of the run.

What they do is less: neither finds out whose a row is nor keeps roll-ups, and only dlt's merge takes a row once.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys

# The package `sling` fetches its binary from elsewhere at its first use; `sling-linux-amd64` carries it.
PACKAGES = {"sling": ["sling-linux-amd64"], "dlt": ["dlt[postgres,parquet]", "sqlalchemy", "numpy"]}


def install(folder):
    """The tools that could be had, and for the others why not."""
    venv = os.path.join(folder, "peers")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python, have, missing = os.path.join(venv, "bin", "python"), {}, {}
    for name, packages in PACKAGES.items():
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            missing[name] = "pip cannot install it here"
        elif name == "dlt":
            have[name] = python
        elif binary := sling_binary(venv):
            have[name] = binary
        else:
            missing[name] = "its package from PyPI holds no binary for this machine"
    return have, missing, versions(venv)


def sling_binary(venv):
    for root, _, files in os.walk(venv):
        for file in files:
            path = os.path.join(root, file)
            if file.startswith("sling-") and "bin" in root and os.path.getsize(path) > 1_000_000:
                os.chmod(path, 0o755)
                return path
    return None


def versions(venv):
    site = [os.path.join(root) for root, folders, _ in os.walk(venv) if os.path.basename(root) == "site-packages"]
    return {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions(path=site)}


def runs(folder, source, target):
    """Commands by what they are called, and the sentence for each tool that is missing. Their settings go to this
    process's environment."""
    have, missing, version = install(folder)
    os.environ.update({"SLING_DISABLE_TELEMETRY": "true", "RUNTIME__DLTHUB_TELEMETRY": "false", "SLING_HOME_DIR": os.path.join(folder, "sling")})
    out = []
    if "sling" in have:
        out.append((f"sling {version.get('sling-linux-amd64', '')}, full-refresh: no key, no index, no roll-up", "public.usage_events",
                    [have["sling"], "run", "--src-conn", source + "?sslmode=disable", "--src-stream", "public.usage_events",
                     "--tgt-conn", target + "?sslmode=disable", "--tgt-object", "public.usage_events", "--mode", "full-refresh"]))
    if "dlt" in have:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_dlt.py")
        for how, note in (("append", "no key, no roll-up"), ("merge", "by key, no roll-up")):
            out.append((f"dlt {version.get('dlt', '')}, {how}: {note}", f"usage_{how}.usage_events",
                        [have["dlt"], script, source, target, how, os.path.join(folder, "dlt")]))
    return out, [f"{name}: {why}" for name, why in missing.items()]


def clean(folder):
    shutil.rmtree(os.path.join(folder, "peers"), ignore_errors=True)
