"""Model providers: one adapter a vendor, behind the `Provider` contract.

`build.build_provider` is the way in. Adapters speak the vendors' wire protocols themselves; no
vendor library is imported. Nothing here knows of runs, rows or Django.
"""
