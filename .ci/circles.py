#!/usr/bin/env python3
"""Import circles: modules of a crate that use each other, directly or by way of others. None may exist: each can be read before what uses it.

A module and those inside of it may use each other, which is how Rust nests them; tests may use what they like.

  .ci/circles.py              looks at every crate of the repository; exit code 1 and the imports concerned when there is a circle
  .ci/circles.py --self-test  shows that a circle is found
"""

import re
import sys
import tempfile
from pathlib import Path

USE = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.MULTILINE)
INNER_TESTS = re.compile(r"^#\[cfg\(test\)\]\s*\nmod \w+ \{", re.MULTILINE)


def is_test(path):
    return "tests" in path.parts or path.name == "tests.rs"


def modules(src):
    """File by module path, such as ("relay", "call")."""
    found = {}
    for file in sorted(src.rglob("*.rs")):
        path = file.relative_to(src)
        if is_test(path) or path.parts[0] == "bin":
            continue
        parts = list(path.with_suffix("").parts)
        if parts[-1] in ("mod", "lib", "main"):
            parts.pop()
        found[tuple(parts)] = file
    return found


def paths(tree):
    """What a `use` names: `a::{b, c::d}` is a::b and a::c::d."""
    head, brace, body = tree.strip().partition("{")
    if not brace:
        return [re.sub(r"\s+as\s+\w+$", "", head)]
    parts, depth = [""], 0
    for letter in body[: body.rindex("}")]:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [head + path for part in parts if part.strip() for path in paths(part)]


def uses(module, file, known):
    """The other modules of the crate that a module's `use` lines name."""
    text = file.read_text()
    tests = INNER_TESTS.search(text)
    text = re.sub(r"//[^\n]*", "", text[: tests.start()] if tests else text)
    for match in USE.finditer(text):
        for path in paths(" ".join(match.group(1).split())):
            names, base = [name.strip() for name in path.split("::")], list(module)
            if names[0] == "crate":
                base, names = [], names[1:]
            elif names[0] not in ("self", "super") and (*base, names[0]) not in known:
                continue  # another crate
            while names and names[0] in ("self", "super"):
                if names.pop(0) == "super":
                    base.pop()
            used = base + names
            while used and tuple(used) not in known:
                used.pop()  # an item of the module
            yield tuple(used)


def is_nested(one, other):
    short = min(len(one), len(other))
    return one[:short] == other[:short]


def reached(start, graph):
    found, waiting = set(), [start]
    while waiting:
        for module in graph[waiting.pop()] - found:
            found.add(module)
            waiting.append(module)
    return found


def circles(src):
    """Sets of modules that all lead to each other, each with the imports between them."""
    known = modules(src)
    graph = {
        module: {used for used in uses(module, file, known) if not is_nested(module, used)}
        for module, file in known.items()
    }
    reach = {module: reached(module, graph) for module in graph}
    parts = {frozenset({other for other in reach[module] if module in reach[other]}) for module in graph}
    for part in sorted(parts - {frozenset()}, key=sorted):
        yield [(module, used) for module in sorted(part) for used in sorted(graph[module] & part)]


def told(root):
    """A line for each import of a circle."""
    name = "::".join
    for src in sorted(root.glob("**/src")):
        if not {"target", "node_modules"} & set(src.parts):
            for number, imports in enumerate(circles(src), 1):
                for module, used in imports:
                    yield f"{src.relative_to(root)}, circle {number}: {name(module)} uses {name(used)}"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder) / "crate" / "src"
        src.mkdir(parents=True)
        for file, text in {
            "lib.rs": "mod a;\nmod b;\nmod c;\n",
            "a.rs": "use crate::{b::B, c};\nmod inner;\n",
            "b.rs": "pub(crate) use super::c::{\n    C, // of c\n};\n",
            "c.rs": "use std::fmt;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
        }.items():
            (src / file).write_text(text)
        assert not list(told(Path(folder))), "a circle where there is none"
        (src / "c.rs").write_text("use crate::a::A;\n")
        assert len(list(told(Path(folder)))) == 4, list(told(Path(folder)))


if sys.argv[1:] == ["--self-test"]:
    self_test()
else:
    lines = list(told(Path(__file__).resolve().parent.parent))
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(1 if lines else 0)
