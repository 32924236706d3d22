"""Generated matrices and calls, drawn from few words so that they meet."""

import json
from typing import Any

from hypothesis import strategies as st

from governance.policy.contracts import PolicyAgent, PolicyInput, PolicySubject, PolicyTool

NAMES = ("ada", "bob", "ops", "admin", "fs.read", "fs.write", "http", "a", "ab", "aXb")
NAME_GLOBS = (*NAMES, "*", "a*", "*b", "fs.*", "*.*", "a*b", "*d*", "a*a*", "*X*", "*\u00e9*")
TEXTS = (
    *NAMES,
    "",
    "git push",
    'say "no"',
    "a\nb",
    "a\\nb",
    "back\\slash",
    "tab\there",
    "\u00e9",
    "a\u00e9\u20acb",
    "\U0001d4b3",
    "nul\x00byte",
    "\x01",
    "1",
    "\ue022",
    "node",
    "x\node",
    "x" * 2049,
    "rm -rf /",
    "{}",
    "\x7f",
)
TEXT_GLOBS = (
    "*",
    "git *",
    "*rm*",
    '*"no"*',
    "*node",
    "a*b",
    "*back*slash",
    "*\u00e9*",
    "x*",
    "*'*",
    "*nul*byte",
    "*bb*",
    "*aXb*b*",
    "a*b*a",
    "u0000*",
    "*\n*",
)
PATTERNS = (
    ".*",
    "[a-z]+",
    "git (?:push|pull)",
    '.*"no".*',
    "a.b",
    "a.+b",
    "[^a]*",
    "\\w+",
    "\\s*",
    ".{2}",
    "a\\nb",
    ".*\\\\.*",
    "(?:ab|b)+",
    "\\d{1,3}",
    "a?b?X?",
    "[^\\n]",
    "\\S*",
    "[\\]\\[^-]+",
    "[!-/]*",
    "-+",
    "x+",
)
HOSTS = (
    "example.com",
    "api.example.com",
    "example.com:443",
    "evil.com:80",
    "169.254.169.254",
    "[::1]:80",
    "::1",
    "Example.com",
    "example.com.",
    "example.com.:443",
    "",
    "ex\u00e4mple.com",
    "evil\nexample.com",
    "a:b:c",
)
HOST_GLOBS = (
    "example.com",
    "*.example.com",
    "*:443",
    "169.254.*",
    "[::1]",
    "*",
    "evil.com:80",
    "example.com:*",
    "::1",
)
SANDBOX_GLOBS = ("none", "site", "docker", "gvisor", "*", "g*", "*o*")
PATHS = (
    "/workspace",
    "/workspace/a.py",
    "/workspace/src/a.py",
    "/workspace/src/deep/b.txt",
    "/etc/passwd",
    "a.py",
    "/workspace/../etc/passwd",
    "/workspace//a.py",
    "",
    "/",
    "src/",
    "./a.py",
    "a\\b",
    "/a\nb/c.py",
    "/workspace/secrets/key",
    "/x/secrets/y/z",
)
PATH_GLOBS = (
    "/workspace/**",
    "/workspace/*",
    "**",
    "*",
    "**/*.py",
    "/etc/*",
    "/workspace/**/*.txt",
    "**/secrets/**",
    "src/",
    "/**/a.py",
    "/workspace/src/*.py",
    "**/s*s/*",
    "*.py",
    "/",
    "**/src/a*",
)
NUMBERS = (0, 1, -1, 5, 99, 100, 101, 100.5, 0.1, -2.5, 2**53, -(2**60), 1e300, 7.0)
SCALARS = (*NAMES[:4], "git push", 'say "no"', "a\nb", "", 0, 1, 7, 100.5, True, False, None, "1")
ARGUMENT_PATHS = ("a", "b", "a.b", "a[0]", "a[*]", "a[*].b", "b[*]", "a.b[1]", "c-d")


def _some(values: tuple[Any, ...], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique_by=repr)


_CONDITION = st.fixed_dictionaries(
    {},
    optional={
        "equals": st.one_of(st.sampled_from(SCALARS), _some(SCALARS)),
        "glob": _some(TEXT_GLOBS),
        "regex": st.sampled_from(PATTERNS),
        "min": st.sampled_from((-2, 0, 1, 99.5)),
        "not": st.one_of(
            st.fixed_dictionaries({"equals": _some(SCALARS)}),
            st.fixed_dictionaries({"glob": _some(TEXT_GLOBS)}),
            st.fixed_dictionaries({"regex": st.sampled_from(PATTERNS)}),
            st.fixed_dictionaries({"max": st.sampled_from((0, 1, 100))}),
        ),
        "present": st.just(True),
    },
).filter(bool) | st.sampled_from(({"present": False}, {"max": 100}, {"max": 0}))


def _places(globs: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return _some(globs) | st.fixed_dictionaries({"outside": _some(globs)})


_RULE = st.fixed_dictionaries(
    {"effect": st.sampled_from(("allow", "ask", "deny"))},
    optional={
        "tools": _some(NAME_GLOBS),
        "classes": _some(("read", "idempotent", "keyed", "irreversible"), 2),
        "privileged": st.booleans(),
        "who": st.fixed_dictionaries(
            {},
            optional={key: _some(NAME_GLOBS, 2) for key in ("users", "groups", "roles", "agents")},
        ).filter(bool),
        "surfaces": _some(("rest", "agent*"), 1),
        "workspaces": _some(NAME_GLOBS, 1),
        "arguments": st.dictionaries(
            st.sampled_from(ARGUMENT_PATHS), _CONDITION, min_size=1, max_size=2
        ),
        "sandboxes": _some(SANDBOX_GLOBS, 2),
        "net": _places(HOST_GLOBS),
        "hosts": _places(HOST_GLOBS),
        "paths": _places(PATH_GLOBS),
        "reason": st.sampled_from(('"no"', "over \\ there", "two\nlines", "\u00e9")),
    },
).filter(lambda rule: len(set(rule) - {"effect", "reason"}) > 0)

# Rules that ask one thing decide more often than those that ask many.
_EFFECT = {"effect": st.sampled_from(("allow", "ask", "deny"))}
_SHORT_RULE = st.one_of(
    st.fixed_dictionaries(
        {
            **_EFFECT,
            "arguments": st.dictionaries(
                st.sampled_from(ARGUMENT_PATHS), _CONDITION, min_size=1, max_size=1
            ),
        }
    ),
    st.fixed_dictionaries({**_EFFECT, "hosts": _places(HOST_GLOBS)}),
    st.fixed_dictionaries({**_EFFECT, "net": _places(HOST_GLOBS)}),
    st.fixed_dictionaries({**_EFFECT, "sandboxes": _some(SANDBOX_GLOBS)}),
    st.fixed_dictionaries({**_EFFECT, "paths": _places(PATH_GLOBS)}),
    st.fixed_dictionaries(
        {
            **_EFFECT,
            "who": st.fixed_dictionaries({"roles": _some(TEXT_GLOBS), "users": _some(TEXT_GLOBS)}),
        }
    ),
)

_DEFAULT = st.sampled_from(("deny", "ask")) | st.dictionaries(
    st.sampled_from(("privileged", "read", "idempotent", "keyed", "irreversible")),
    st.sampled_from(("allow", "ask", "deny")),
)

MATRICES = st.fixed_dictionaries(
    {"rules": st.lists(_SHORT_RULE | _RULE, min_size=1, max_size=5)}, optional={"default": _DEFAULT}
).map(lambda found: json.dumps(found, ensure_ascii=False))

_LEAF = st.sampled_from(TEXTS) | st.sampled_from(NUMBERS) | st.sampled_from(SCALARS)
_VALUE = st.recursive(
    _LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("a", "b", "c-d", 'q"', "n\n", "\x00")), inner, max_size=2
        )
    ),
    max_leaves=4,
)

INPUTS = st.builds(
    PolicyInput,
    subject=st.builds(
        PolicySubject,
        user=st.sampled_from(TEXTS),
        groups=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        roles=st.lists(st.sampled_from(TEXTS), max_size=2).map(tuple),
        surface=st.sampled_from(("rest", "agent", "")),
    ),
    workspace=st.sampled_from(NAMES),
    agent=st.builds(PolicyAgent, name=st.sampled_from(NAMES), depth=st.integers(0, 3)),
    tool=st.builds(
        PolicyTool,
        name=st.sampled_from(NAMES),
        effect=st.sampled_from(("read", "idempotent", "keyed", "irreversible", "odd")),
        privileged=st.booleans(),
        net=st.lists(st.sampled_from(HOSTS), max_size=2).map(tuple),
        sandbox=st.sampled_from(("none", "site", "docker", "gvisor")),
    ),
    arguments=st.dictionaries(st.sampled_from(("a", "b", "c-d")), _VALUE, max_size=3),
    hosts=st.lists(st.sampled_from(HOSTS), max_size=2).map(tuple),
    paths=st.lists(st.sampled_from(PATHS), max_size=2).map(tuple),
    run_id=st.just("run"),
)
