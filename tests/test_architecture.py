"""How the code is laid out: imports go one way, heavy libraries stay where they belong, the public names are few."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import whopays
from whopays.codebook import Codebook

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "whopays"
MOST_LINES = 400
# Each module or package imports only from those above it; the longest name that fits a module is its layer.
LAYERS = (
    "errors",
    "text",
    "starter",
    "excerpts",
    "notebook",
    "language",
    "codebook",
    "corpus",
    "reading",
    "segmenting",
    "corpus.sentences",
    "model",
    "result",
    "tagger",
    "evaluation",
    "training",
    "annotation",
    "review",
    "batch",
    "writers",
    "integrations",
    "sklearn",
    "tagging",
    "scoring",
    "cli",
    "__main__",
)
# The package itself names modules only for type checkers, and imports them when a name is first used.
PUBLIC = [
    "Codebook",
    "Document",
    "Example",
    "Label",
    "ReadError",
    "Result",
    "Segment",
    "Span",
    "Tagger",
    "WhopaysError",
    "load",
    "read",
    "segment",
]
HEAVY = ("torch", "transformers", "onnx", "setfit", "sentence_transformers")


def module_name(path: Path) -> str:
    """The name inside the package, such as ``corpus.markup``; empty for the package itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
INSIDE = [name for name in MODULES if name]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """All absolute imports with their lines, wherever they stand; of `from a import b`, both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def own_imports(name: str) -> set[str]:
    """The modules of this package that a module imports, lazily or not."""
    found = {target.removeprefix("whopays").lstrip(".") for _, target in imports(TREES[name]) if _is_own(target)}
    return {target for target in found if target in MODULES and target}


def _is_own(target: str) -> bool:
    return target == "whopays" or target.startswith("whopays.")


def layer(name: str) -> int:
    fitting = [entry for entry in LAYERS if name == entry or name.startswith(f"{entry}.")]
    assert fitting, f"whopays.{name} has no place in LAYERS; add it where DESIGN.md's flow puts it"
    return LAYERS.index(max(fitting, key=len))


def executed_on_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: not those in functions or for type checkers only."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            todo += node.orelse
            continue
        if isinstance(node, ast.stmt):
            yield node
        todo += ast.iter_child_nodes(node)


# Imports ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSIDE)
def test_a_module_imports_only_from_the_layers_above_it(name: str) -> None:
    wrong = [target for target in own_imports(name) if layer(target) > layer(name)]
    assert not wrong, f"whopays.{name} ({LAYERS[layer(name)]}) imports from below: {wrong}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    # A package's __init__ gathers its modules; they name each other, not the package.
    order = list(TopologicalSorter({name: own_imports(name) - {name} for name in INSIDE}).static_order())
    assert set(order) == set(INSIDE)


@pytest.mark.parametrize("name", INSIDE)
def test_no_module_imports_from_the_package_itself(name: str) -> None:
    for line, target in imports(TREES[name]):
        inner = target.removeprefix("whopays").lstrip(".")
        assert not _is_own(target) or any(inner.startswith(module) for module in INSIDE), f"line {line}: {target}"


def test_every_import_inside_the_package_leads_to_a_module_that_exists() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and _is_own(node.module or ""):
                assert (node.module or "").removeprefix("whopays").lstrip(".") in MODULES, f"{name}, line {node.lineno}"


@pytest.mark.parametrize("name", INSIDE)
def test_torch_and_transformers_are_imported_for_training_alone_and_only_when_it_runs(name: str) -> None:
    heavy = [f"line {line}: {target}" for line, target in imports(TREES[name]) if target.split(".")[0] in HEAVY]
    if name == "integrations.transformers":  # a subclass of one of theirs; nothing of ours imports it
        return
    assert not heavy or name.startswith("training."), heavy
    at_once = [
        f"line {node.lineno}: {target}"
        for node in executed_on_import(TREES[name])
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for _, target in imports(node)
        if target.split(".")[0] in HEAVY
    ]
    assert not at_once, at_once


def test_tests_examples_and_models_are_not_imported_by_the_package() -> None:
    for name, tree in TREES.items():
        roots = {target.split(".")[0] for _, target in imports(tree)}
        assert not roots & {"tests", "benchmarks", "examples", "scripts", "pytest", "hypothesis"}, name


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_pickled(name: str) -> None:
    roots = {target.split(".")[0] for _, target in imports(TREES[name])}
    assert not roots & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "multiprocessing"}


def test_engines_know_neither_the_writers_nor_each_other() -> None:
    engines = [name for name in INSIDE if name in ("batch.local", "batch.ray")]
    assert engines
    for name in engines:
        found = own_imports(name)
        assert not [target for target in found if target.startswith("writers") or target in engines], name
        assert "batch.ledger" not in found, "what is kept is the same for all engines"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import whopays, whopays.cli", ["numpy", "spacy", "onnxruntime", "pyarrow", "datasets", *HEAVY]),
        (
            "from whopays import Result, Span, Codebook, Example, WhopaysError",
            ["numpy", "spacy", "onnxruntime", *HEAVY],
        ),
        (
            "import whopays.batch.reading_process",
            ["numpy", "spacy", "onnxruntime", "pyarrow", "lxml", "rich", "datasets", *HEAVY],
        ),
        ("import whopays.batch.run", ["numpy", "spacy", "onnxruntime", "pyarrow", "rich", "ray", *HEAVY]),
        ("from whopays import Tagger, load, read, segment", ["sklearn", "pandas", "datasets", *HEAVY]),
    ],
)
def test_importing_stays_light(statement: str, absent: list[str]) -> None:
    code = f"import sys; {statement}; print(*[name for name in {absent!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (run.stderr, run.stdout.strip()) == ("", "")


# Public names -------------------------------------------------------------------------------------------------------


def test_the_public_names_are_exactly_these_in_order() -> None:
    assert whopays.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_leads_to_what_bears_it_and_is_documented(name: str) -> None:
    value = getattr(whopays, name)
    assert value.__name__ == name
    assert value.__module__.startswith("whopays.")
    assert value.__doc__


def test_names_for_type_checkers_are_the_public_names() -> None:
    (checking,) = [node for node in TREES[""].body if isinstance(node, ast.If)]
    named = [alias.name for node in checking.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(named) == PUBLIC


def test_the_package_lists_its_names_and_refuses_others() -> None:
    assert dir(whopays) == sorted([*PUBLIC, "__version__"])
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", whopays.__version__)
    with pytest.raises(AttributeError, match="module 'whopays' has no attribute 'tag'"):
        whopays.tag  # noqa: B018


# Code ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_module_stays_short(name: str) -> None:
    lines = MODULES[name].read_text(encoding="utf-8").count("\n")
    assert lines < MOST_LINES, f"{lines} lines; divide it by what its parts know"


def test_no_module_has_a_name_that_says_nothing() -> None:
    last = {name.rsplit(".")[-1] for name in INSIDE}
    assert not last & {"utils", "util", "helpers", "helper", "manager", "wrapper", "common", "misc", "base"}


@pytest.mark.parametrize("name", MODULES)
def test_no_label_of_the_codebook_is_known_to_the_code(name: str) -> None:
    labels = Codebook.load(ROOT / "corpus" / "codebook.toml").ids
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, labels))})(?![\w-])")
    tree = TREES[name]
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and ast.get_docstring(node, clean=False) is not None
        and isinstance(node.body[0], ast.Expr)
    }
    found = []
    for node in ast.walk(tree):
        words = [node.value] if isinstance(node, ast.Constant) and id(node) not in docstrings else []
        words += [getattr(node, key, None) for key in ("id", "attr", "arg", "name")]
        found += [f"line {node.lineno}: {word!r}" for word in words if isinstance(word, str) and pattern.search(word)]  # type: ignore[attr-defined]
    assert not found, found
