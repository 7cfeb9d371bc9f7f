"""Pipeline stages on frames: a file each, a row each in `pipeline.STAGES`.

Reading order: `stage` (what a stage is told and must do), `pipeline`, `leading` with
`line_chunks` (what comes first); filters: `line_filter`, `label_filter`, with
`regex`, `addresses`, `conversions` and `number_units`; parsers: `extraction` (from
what is found to labels), `line_views` and `line_spans` (lines as bytes, where they
lie); `json_fields`, with `json_bits`, `json_plain`, `json_known` and `json_members`
(plain lines), `json_columns`, `json_nested`, `json_paths` (others), `json_scan` (one
line); `logfmt_fields`, with `key_search`, `key_values`, `logfmt_scan` (one line);
`captures`, `unpack`; the rest: `formats` with `template_parts`, `drop_keep`,
`unwrap`.
"""
