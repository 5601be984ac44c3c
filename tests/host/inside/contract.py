"""Compare the stub of tests/nodes with the real ComfyUI: every name exists, every parameter is known.

    python contract.py COMFYUI STUB

Prints a JSON list of differences.
"""

import ast
import importlib
import inspect
import json
import os
import sys
from pathlib import Path


def parameters(thing):
    """Names that a function or a class takes; None when it takes any."""
    signature = inspect.signature(thing)
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return set(signature.parameters)


def compare_function(node, real, where, problems):
    known = parameters(real)
    if known is None:
        return
    args = node.args
    for name in [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]:
        if name not in known and name not in ("self", "cls"):
            problems.append(f"{where} takes no {name!r}: {sorted(known)}")


def compare(body, real, where, problems):
    for node in body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id]
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names = [node.name]
        else:
            continue
        for name in names:
            if name.startswith("_") and name != "__init__":
                continue
            here = f"{where}.{name}"
            if here in OURS:
                continue
            if not hasattr(real, name):
                problems.append(f"{here} does not exist")
            elif isinstance(node, ast.ClassDef):
                compare(node.body, getattr(real, name), here, problems)
            elif not isinstance(node, (ast.Assign, ast.AnnAssign)):
                value = inspect.getattr_static(real, name)
                if not isinstance(value, property):
                    compare_function(node, getattr(real, name), here, problems)


OURS = {"comfy.utils.ProgressBar.updates"}  # of the stub alone

comfyui, stub = sys.argv[1:3]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, comfyui)
os.chdir(comfyui)
import comfy.options

comfy.options.enable_args_parsing()
found = []
for file in sorted(Path(stub).rglob("*.py")):
    module = ".".join(file.relative_to(stub).with_suffix("").parts)
    compare(ast.parse(file.read_text(encoding="utf-8")).body, importlib.import_module(module), module, found)
print(json.dumps(found))
