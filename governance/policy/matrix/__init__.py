"""The permission matrix: rules in YAML, judged by a plain evaluator or compiled to one Rego module.

The evaluator is the meaning of the language; the compiled module must agree with it, case by case.
"""
