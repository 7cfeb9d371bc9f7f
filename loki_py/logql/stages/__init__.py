"""Pipeline stages on frames: one file each, one row each in `pipeline.STAGES`.

Reading order: `stage` (what a stage is told and must do), `pipeline`, then the
stages: `line_filter`, `label_filter`, `json_fields`, `logfmt_fields`, ….
"""
