"""The languages a policy may be written in, all of which end as one Rego module."""

from enum import StrEnum

from governance.policy.matrix.compile import Compiled, compile_matrix, module_digest
from governance.policy.matrix.parse import parse_matrix


class PolicyLanguage(StrEnum):
    MATRIX = "matrix"  # YAML, see docs/reference/policy-matrix.md
    REGO = "rego"


def compile_policy(text: str, language: PolicyLanguage) -> Compiled:
    """Return the module and its digest. Rego is taken as it is: `RegoEngine.load` checks it.

    Raises:
        PolicyInvalidError: the matrix has mistakes; all are named.
    """
    if language is PolicyLanguage.REGO:
        return Compiled(module=text, digest=module_digest(text))
    return compile_matrix(parse_matrix(text))
