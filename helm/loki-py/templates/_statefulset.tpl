{{/*
The StatefulSet of a component that keeps data. Takes what "loki-py.podTemplate"
takes.
*/}}

{{- define "loki-py.statefulSet" -}}
{{- $name := include "loki-py.componentName" . -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}{{ with .zone }}-{{ .name }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "loki-py.labels" . | nindent 4 }}
spec:
  replicas: {{ int .values.replicas }}
  serviceName: {{ $name }}-headless
  # All start at once after an outage; upgrades still go one by one.
  podManagementPolicy: Parallel
  {{- if .zone }}
  # StatefulSets know nothing of each other: left alone, an upgrade would take a pod
  # of every zone, which may be every replica of a stream, at the same time.
  updateStrategy: {type: OnDelete}
  {{- else }}
  updateStrategy: {type: RollingUpdate}
  {{- end }}
  minReadySeconds: 10
  selector:
    matchLabels:
      {{- include "loki-py.selectorLabels" . | nindent 6 }}
      {{- with .zone }}
      loki-py/zone: {{ .name }}
      {{- end }}
  template:
    {{- include "loki-py.podTemplate" . | nindent 4 }}
  {{- if .values.persistence.enabled }}
  # A claim may hold acknowledged lines that are not in the bucket yet.
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  volumeClaimTemplates:
    {{- include "loki-py.claim" (dict "name" "data" "claim" .values.persistence) | nindent 4 }}
    {{- if .values.persistence.wal.enabled }}
    {{- include "loki-py.claim" (dict "name" "wal" "claim" .values.persistence.wal) | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* A claim template. Takes name, claim. */}}
{{- define "loki-py.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: {{ .name }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .claim.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .claim.size }}
{{- end -}}

{{/* The StatefulSets of a component, one in each zone. Takes the same without zone. */}}
{{- define "loki-py.statefulSets" -}}
{{- $part := . -}}
{{- range $zone := default (list (dict)) .root.Values.ring.zones }}
---
{{ include "loki-py.statefulSet" (dict "root" $part.root "component" $part.component "target" $part.target "values" $part.values "data" $part.data "zone" $zone) }}
{{- end }}
{{- end -}}
