{{/* Where the pods of etcd, memcached and the gateway run. Takes root, component, values. */}}

{{- define "loki-py.partPlacement" -}}
affinity:
  {{- include "loki-py.antiAffinity" . | nindent 2 }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
