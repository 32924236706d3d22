"""Figures of this site for Prometheus: what is counted, how, and how processes put theirs together.

`table` declares every metric, `recording` counts in memory, `shelf` shares the figures of a host's
processes through files, `exposition` writes them out. Where something happens, the instrument is
imported from `instruments` and told; that costs a look-up and an addition.
"""
