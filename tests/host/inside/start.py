"""Import the pack in a real ComfyUI and print what that changed, as one JSON object.

Called with COMFYUI, BASE and the pack's folder.
"""

import json
import os
import sys
import time
from pathlib import Path

import pack

comfyui, base, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
pack.start(comfyui, base)
import folder_paths

import nodes  # noqa: F401  # ComfyUI's own, with all that it imports


def host_state():
    """What a pack must leave alone."""
    functions = {key: id(value) for key, value in vars(folder_paths).items() if callable(value)}
    keys = {key: (list(paths), list(kinds)) for key, (paths, kinds) in folder_paths.folder_names_and_paths.items()}
    top = {module for module in sys.modules if "." not in module and not module.startswith(str(folder))}
    return list(sys.path), dict(os.environ), functions, keys, top


def files():
    """Of the pack and of the base folder, with their times."""
    return {path: path.stat().st_mtime for place in (folder, base) for path in place.rglob("*") if path.is_file()}


before, written = host_state(), files()
started, by_clock = time.process_time(), time.perf_counter()
ours = pack.load(base, folder)
facts = {"import_seconds": time.process_time() - started, "by_the_clock": time.perf_counter() - by_clock}
after = host_state()
parts = ("sys.path", "os.environ", "functions", "keys", "modules")
facts["changed"] = [part for part, old, new in zip(parts, before, after, strict=True) if old != new]
facts["new_keys"] = sorted(set(after[3]) - set(before[3]))
facts["old_keys_same"] = all(after[3][key] == value for key, value in before[3].items())
facts["new_modules"] = sorted(after[4] - before[4])
facts["written"] = [str(path) for path, changed in files().items() if written.get(path) != changed]
facts["nodes"] = sorted(ours)
print(json.dumps(facts))
