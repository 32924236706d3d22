"""The HTTP kernel: problems, strict input, cursor pages, preconditions, replayed answers, schema.

Knows Django and REST framework and nothing of any app: who may do what is governance's.
"""
