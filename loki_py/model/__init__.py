"""What everything else talks about.

Reading order: `labels`, `matchers`, `batch`, `scan`, `shares`, `results`.
"""
