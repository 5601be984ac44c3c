"""Rules of the house that no linter knows, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

REPO = Path(__file__).resolve().parents[2]
PACKAGES = [folder for folder in ("musetalk_core", "nodes") if (REPO / folder).is_dir()]
SOURCES = sorted(path.relative_to(REPO).as_posix() for folder in PACKAGES for path in (REPO / folder).rglob("*.py"))
LONGEST_FILE = 320  # lines
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

BANNED_MODULES = {
    "subprocess",
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib",
    "pty",
}
BANNED_BUILTINS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
BANNED_CALLS = {
    "os.system",
    "os.popen",
    "os.startfile",
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
}
BANNED_PREFIXES = ("os.exec", "os.spawn", "os.posix_spawn")
BANNED_ARGUMENTS = {("weights_only", False), ("strict", False), ("allow_pickle", True), ("trust_remote_code", True)}
CHECKPOINT = "musetalk_core/models/checkpoint.py"  # the one way to read a weight file

DOORS = {
    "diffusers": {"models"},
    "transformers": {"models"},
    "librosa": {"audio"},
    "cv2": {"face", "render", "portraits", "video", "eval"},
    "av": {"video", "audio", "live"},
}
# Seconds to import, or a device to wake: never at the top of a file, but where a network is defined as a class.
HEAVY = {*DOORS, "torch", "huggingface_hub", "numba", "scipy", "sklearn", "matplotlib", "accelerate", "peft", "aiortc"}
NETWORKS = {"musetalk_core/models/": {"torch", "diffusers", "transformers"}, "musetalk_core/training/": {"torch"}}


def parse(path: str) -> ast.Module:
    return ast.parse((REPO / path).read_text(encoding="utf-8"), path)


def dotted(node: ast.expr) -> str:
    """`os.path.join` of the expression that says so; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs: all but the bodies of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and dotted(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from without_type_checking(child)


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Names of the top-level packages that the import statements among the nodes load."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: no function bodies."""
    for child in ast.iter_child_nodes(tree):
        is_typing = isinstance(child, ast.If) and dotted(child.test).endswith("TYPE_CHECKING")
        if is_typing or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from at_import(child)


def banned(path: str, tree: ast.Module) -> list[str]:
    """What in a file could run somebody else's code, or load a weight file laxly."""
    found = [f"imports {name}" for name in imported(ast.walk(tree)) & BANNED_MODULES]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in BANNED_BUILTINS | BANNED_CALLS or name.startswith(BANNED_PREFIXES):
            found.append(f"line {node.lineno}: {name}()")
        given = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
        lax = {(key, value) for key, value in given.items() if (key, value) in BANNED_ARGUMENTS and name != "zip"}
        found += [f"line {node.lineno}: {name}({key}={value!r})" for key, value in lax]
        if name == "torch.load" and (path != CHECKPOINT or given.get("weights_only") is not True):
            found.append(f"line {node.lineno}: torch.load outside {CHECKPOINT}, or without weights_only=True")
    return found


def test_nothing_runs_foreign_code() -> None:
    assert {path: found for path in SOURCES if (found := banned(path, parse(path)))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess",
        "from os import path; import pickle",
        "def f():\n    import os\n    os.system('touch x')",
        "os.execv('a', [])",
        "eval('1')",
        "net.load_state_dict(state, strict=False)",
        "torch.load(path, weights_only=False)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_the_ban_sees(line: str) -> None:
    assert banned("musetalk_core/models/example.py", ast.parse(line))


def test_the_ban_lets_zip_be_lax() -> None:
    assert banned("musetalk_core/models/example.py", ast.parse("zip(a, b, strict=False)")) == []


def test_heavy_libraries_come_in_by_their_door() -> None:
    wrong = [
        f"{path} imports {name}, which belongs to {', '.join(sorted(DOORS[name]))}"
        for path in SOURCES
        for name in imported(without_type_checking(parse(path))) & set(DOORS)
        if PurePosixPath(path).parts[1] not in DOORS[name]
    ]
    assert wrong == []


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    wrong = []
    for path in SOURCES:
        allowed = next((names for folder, names in NETWORKS.items() if path.startswith(folder)), set())
        wrong += [f"{path} imports {name} at its top" for name in imported(at_import(parse(path))) & HEAVY - allowed]
    assert wrong == []


def test_files_are_short() -> None:
    lines = {path: (REPO / path).read_text(encoding="utf-8").count("\n") for path in SOURCES}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_files_are_named_for_what_they_hold() -> None:
    assert [path for path in SOURCES if VAGUE_NAMES & set(PurePosixPath(path).with_suffix("").parts)] == []


def test_public_names_have_docstrings() -> None:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    missing = []
    for path in SOURCES:
        tree = parse(path)
        public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
        missing += [f"{path}: {node.name}" for node in public if not ast.get_docstring(node)]
        missing += [path] if tree.body and not ast.get_docstring(tree) else []
    assert missing == []


def test_the_pack_imports_itself_relatively() -> None:
    pack = [path for path in SOURCES if path.startswith("nodes/")]
    if not pack:
        pytest.skip("no nodes/ in this version")
    assert [path for path in pack if imported(ast.walk(parse(path))) & {"musetalk_core", "nodes"}] == []
