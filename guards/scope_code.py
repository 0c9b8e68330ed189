"""Rules on what code reaches for: imports, code made at run time, other processes, the interpreter itself."""

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from guards.scope_text import Finding
from guards.source.index import Index, Seen
from guards.source.program import last_name
from guards.source.syntax import Source
from guards.source.values import Values, analysed

_BUILTINS = {
    "eval": "dynamic_code",
    "exec": "dynamic_code",
    "compile": "dynamic_code",
    "__import__": "dynamic_code",
    "__builtins__": "dynamic_code",
    "__loader__": "dynamic_code",
    "__spec__": "dynamic_code",
    "breakpoint": "dynamic_code",
    "__file__": "own_source",
}
_ATTRIBUTES = {
    "_getframe": "introspection",
    "f_locals": "introspection",
    "f_globals": "introspection",
    "f_back": "introspection",
    "tb_frame": "introspection",
    "walk_stack": "introspection",
    "walk_tb": "introspection",
    "__code__": "introspection",
    "__globals__": "introspection",
    "__closure__": "introspection",
    "__subclasses__": "introspection",
    "__builtins__": "introspection",
    "get_objects": "introspection",
    "get_referrers": "introspection",
    "settrace": "introspection",
    "setprofile": "introspection",
    "addaudithook": "introspection",
    "fork": "process",
    "forkpty": "process",
    "system": "process",
    "popen": "process",
    "posix_spawn": "process",
    "posix_spawnp": "process",
    "setsid": "process",
    "killpg": "process",
    "memfd_create": "process",
    "load_inline": "dynamic_code",
    "save_cache_artifacts": "cache",
    "load_cache_artifacts": "cache",
    "get_cache_manager": "cache",
    "codecache": "cache",
    "cache_dir_utils": "cache",
    "cpp_extension": "dynamic_code",
}
_DOTTED = {
    "sys.modules": "introspection",
    "sys.meta_path": "introspection",
    "sys.path": "introspection",
    "sys.argv": "arguments",
    "sys.orig_argv": "arguments",
    "os.kill": "process",
    "torch.hub": "network",
    "torch.load": "pickle",
    "torch.ops.load_library": "dynamic_code",
    "torch.classes.load_library": "dynamic_code",
}
_DOTTED_ENDS = {path.rpartition(".")[2] for path in _DOTTED}
_PROCESS_MODULES = {
    "os",
    "posix",
    "pty",
    "subprocess",
    "multiprocessing",
    "signal",
    "mmap",
    "_posixsubprocess",
}
_CACHES = ("_CACHE_DIR", "CUDA_CACHE_PATH", "XDG_CACHE_HOME", "torchinductor_cache", "triton_cache")
_TOLD = ("HARNESS_SALT", "HARNESS_GATE", "PYTHONPATH")
_CODE = {f"builtins.{name}" for name in ("eval", "exec", "compile", "__import__")}
_EXEC_FAMILY = (
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "spawnl",
    "spawnv",
    "spawnve",
)
_WORDS = {
    "dynamic_code": "makes code at run time",
    "introspection": "looks into the interpreter",
    "process": "starts or ends processes",
    "cache": "reaches for the folders of compiled code, which its trials share",
    "environment": "names what the referee tells a trial's programs by their environment",
    "network": "reaches for a download",
    "pickle": "unpickles",
    "own_source": "reads its own source file",
    "arguments": "touches the command line beside the argument parser",
}


def import_findings(
    before: Collection[Source], after: Collection[Source], allowed: Collection[str]
) -> Iterator[Finding]:
    """Imports beyond the incumbent's and the allow-list (an entry covers its submodules)."""
    known = {name for source in before for name, _ in _imports(source)}
    for source in after:
        for name, line in _imports(source):
            if name not in known and not _covered(name, allowed):
                yield "import", f"{source.path} line {line} imports {name}, which is not on the allow-list"


def code_findings(before: Sequence[Source], after: Sequence[Source]) -> Iterator[Finding]:
    """Uses that the incumbent does not have, counted: one more of a kind is a finding."""
    known = Counter(finding for _, finding, _ in _uses(tuple(before)))
    for path, (case, what), line in _uses(tuple(after)):
        known[case, what] -= 1
        if known[case, what] < 0:
            yield case, f"{path} line {line} {_WORDS[case]} ({what})"


def _imports(source: Source) -> Iterator[tuple[str, int]]:
    for plain in source.of(ast.Import):
        yield from ((alias.name, plain.lineno) for alias in plain.names)
    for node in source.of(ast.ImportFrom):
        yield "." * node.level + (node.module or ""), node.lineno


def _covered(name: str, allowed: Collection[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in allowed for length in range(1, len(parts) + 1))


Use = tuple[str, tuple[str, str], int]
"""path, (case, what is used), line."""


@lru_cache(maxsize=64)
def _uses(sources: tuple[Source, ...]) -> tuple[Use, ...]:
    """Found once for the incumbent, whatever the proposals to it."""
    return tuple(_found(sources))


def _found(sources: tuple[Source, ...]) -> Iterator[Use]:
    values = analysed(sources)
    for source in sources:
        index = values.program.index_of(source.path)
        for leaf in index.leaves:
            if found := _leaf_case(leaf, index, values):
                yield source.path, found, getattr(leaf.node, "lineno", 0)
        for node in source.of(ast.ImportFrom):
            for alias in node.names:
                if reached := _imported_case(str(node.module), alias.name):
                    yield source.path, (reached, alias.name), node.lineno
        for constant in source.of(ast.Constant):
            for case, words in (("cache", _CACHES), ("environment", _TOLD)):
                if named := _named(constant.value, words):
                    yield source.path, (case, named), constant.lineno
    # getattr with a computed name is looked at by the seed guard, with its object.


def _named(text: object, words: tuple[str, ...]) -> str:
    """The one of the words that stands in a string, "" for none."""
    return next((word for word in words if isinstance(text, str) and word in text), "")


def _leaf_case(leaf: Seen, index: Index, values: Values) -> tuple[str, str] | None:
    """What a name or an attribute reaches for that it must not; None for what is the program's own."""
    if isinstance(leaf.node, ast.Name):
        name = leaf.node.id
        case = _BUILTINS.get(name, "")
        if (
            name in ("globals", "locals")
            and isinstance(leaf.parent, ast.Call)
            and leaf.parent.func is leaf.node
        ):
            case = "dynamic_code"
        if (
            not case
            or leaf.scope.find(name) is not None
            or (name == "__file__" and _only_the_folder(leaf, index))
        ):
            return None
        return case, name
    assert isinstance(leaf.node, ast.Attribute)
    case = _attribute_case(leaf.node, values.dotted(leaf.node, leaf.scope))
    if not case or (case == "process" and _is_harmless_namesake(leaf, values)):
        return None
    return case, leaf.node.attr


def _attribute_case(node: ast.Attribute, paths: tuple[str, ...]) -> str:
    if node.attr in _EXEC_FAMILY:
        return "process"
    if case := _ATTRIBUTES.get(node.attr):
        return case
    if node.attr in _DOTTED_ENDS or any(path.rpartition(".")[2] in _DOTTED_ENDS for path in paths):
        return next(filter(None, (_DOTTED.get(path, "") for path in paths)), "")
    return "dynamic_code" if any(path in _CODE for path in paths) else ""


def _imported_case(module: str, name: str) -> str:
    """The case of `from module import name`."""
    case = _ATTRIBUTES.get(name, "") or ("process" if name in _EXEC_FAMILY else "")
    if case == "process" and module not in _PROCESS_MODULES:
        return ""
    return case or _DOTTED.get(f"{module}.{name}", "")


def _is_harmless_namesake(leaf: Seen, values: Values) -> bool:
    """`platform.system`, a method called `system` of an object of the program's own."""
    assert isinstance(leaf.node, ast.Attribute)
    if paths := values.dotted(leaf.node, leaf.scope):
        return not any(path.rpartition(".")[0] in _PROCESS_MODULES for path in paths)
    if values.program.class_of(leaf.node.value, leaf.scope) is not None:
        return True
    is_called = isinstance(leaf.parent, ast.Call) and leaf.parent.func is leaf.node
    return not is_called or bool(values.program.entered(leaf.node, leaf.scope))


def _only_the_folder(leaf: Seen, index: Index) -> bool:
    """`Path(__file__).parent`, `os.path.basename(__file__)`: where the file lies and its name, not what is in it."""
    node, parent = leaf.node, leaf.parent
    while isinstance(parent, ast.Call | ast.Attribute):
        name = last_name(parent.func if isinstance(parent, ast.Call) else parent)
        if name in ("parent", "parents", "dirname", "name", "stem", "basename"):
            return True
        if name not in ("Path", "PurePath", "resolve", "absolute", "abspath", "realpath", "absolute"):
            return False
        node, parent = parent, index.parents.get(id(parent), node)
    return False
