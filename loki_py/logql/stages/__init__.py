"""Pipeline stages on frames: a file each, a row each in `pipeline.STAGES`.

Reading order: `stage` (what a stage is told and must do), `pipeline`; filters:
`line_filter`, `label_filter`, with `regex`, `addresses` and `conversions`;
parsers: `extraction` (from what is found to labels), `json_fields`,
`json_columns`, `json_scan`, `logfmt_fields`, `logfmt_scan`, `captures`,
`unpack`; the rest: `formats`, `drop_keep`, `unwrap`.
"""
