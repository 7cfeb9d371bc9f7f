{{/* The service of a component, and one that names its pods. Takes root, component. */}}

{{- define "loki-py.services" -}}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "loki-py.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "loki-py.labels" . | nindent 4 }}
  {{- with .root.Values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .root.Values.service.type }}
  ports:
    {{- include "loki-py.servicePorts" . | nindent 4 }}
  selector:
    {{- include "loki-py.selectorLabels" . | nindent 4 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "loki-py.componentName" . }}-headless
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "loki-py.labels" . | nindent 4 }}
    loki-py/variant: headless
spec:
  clusterIP: None
  # A process that is not ready can still be asked why.
  publishNotReadyAddresses: true
  ports:
    {{- include "loki-py.servicePorts" . | nindent 4 }}
  selector:
    {{- include "loki-py.selectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "loki-py.servicePorts" -}}
- name: http-metrics
  port: 3100
  targetPort: http-metrics
- name: grpc
  port: 9095
  targetPort: grpc
{{- if include "loki-py.takesPushes" . }}
- name: otlp-grpc
  port: 4317
  targetPort: otlp-grpc
{{- end }}
{{- end -}}

{{/* Whether the pods of a component take pushes: "true" or nothing. Takes component. */}}
{{- define "loki-py.takesPushes" -}}
{{- if or (eq .component "write") (eq .component "single-binary") -}}true{{- end -}}
{{- end -}}

{{/* Takes root, component, values. */}}
{{- define "loki-py.podDisruptionBudget" -}}
{{- if .values.podDisruptionBudget.enabled -}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "loki-py.componentName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "loki-py.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ int .values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "loki-py.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}
