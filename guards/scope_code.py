"""Rules on what code reaches for: imports, code made at run time, other processes, the interpreter itself."""

import ast
from collections import Counter
from collections.abc import Collection, Iterator

from guards.scope_text import Finding
from guards.source.syntax import Source

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
    "_exit": "process",
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


def code_findings(before: Collection[Source], after: Collection[Source]) -> Iterator[Finding]:
    """Uses that the incumbent does not have, counted: one more of a kind is a finding."""
    known = Counter(finding for source in before for finding, _ in _uses(source))
    for source in after:
        for (case, what), line in _uses(source):
            known[case, what] -= 1
            if known[case, what] < 0:
                yield case, f"{source.path} line {line} {_WORDS[case]} ({what})"


def _imports(source: Source) -> Iterator[tuple[str, int]]:
    for plain in source.of(ast.Import):
        yield from ((alias.name, plain.lineno) for alias in plain.names)
    for node in source.of(ast.ImportFrom):
        yield "." * node.level + (node.module or ""), node.lineno


def _covered(name: str, allowed: Collection[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in allowed for length in range(1, len(parts) + 1))


def _uses(source: Source) -> Iterator[tuple[tuple[str, str], int]]:
    for name in source.of(ast.Name):
        if name.id in _BUILTINS:
            yield (_BUILTINS[name.id], name.id), name.lineno
    for attribute in source.of(ast.Attribute):
        if case := _attribute_case(attribute):
            yield (case, attribute.attr), attribute.lineno
    for node in source.of(ast.ImportFrom):
        for alias in node.names:
            if reached := _ATTRIBUTES.get(alias.name) or _DOTTED.get(f"{node.module}.{alias.name}"):
                yield (reached, alias.name), node.lineno
    # getattr with a computed name is looked at by the seed guard, with its object.
    for call in source.of(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id in ("globals", "locals"):
            yield ("dynamic_code", call.func.id), call.lineno


def _attribute_case(node: ast.Attribute) -> str:
    if node.attr in _EXEC_FAMILY:
        return "process"
    if case := _ATTRIBUTES.get(node.attr):
        return case
    if node.attr in ("eval", "exec", "compile", "__import__") and dotted(node.value) in (
        "builtins",
        "__builtins__",
    ):
        return "dynamic_code"
    return _DOTTED.get(dotted(node) or "", "") if node.attr in _DOTTED_ENDS else ""


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])
