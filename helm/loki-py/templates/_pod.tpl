{{/*
The pod of a component. Takes root, component, target, values, zone (a mapping,
empty where there are no zones), data (the volume at /var/loki-py: "claim" or
"scratch").
*/}}

{{- define "loki-py.podLabels" -}}
{{ include "loki-py.labels" . }}
{{- with .zone }}
loki-py/zone: {{ .name }}
{{- end }}
{{- with .values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "loki-py.podTemplate" -}}
metadata:
  labels:
    {{- include "loki-py.podLabels" . | nindent 4 }}
  annotations:
    # Overrides are read again while the process runs, the rest is not.
    checksum/config: {{ include "loki-py.config" .root | sha256sum }}
    {{- with .values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "loki-py.serviceAccountName" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ int .values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: loki-py
      {{- include "loki-py.container" . | nindent 6 }}
  volumes:
    {{- include "loki-py.volumes" . | nindent 4 }}
  {{- include "loki-py.placement" . | nindent 2 }}
{{- end -}}

{{- define "loki-py.container" -}}
image: {{ include "loki-py.image" (dict "image" .root.Values.image "version" .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args:
  {{- include "loki-py.args" . | nindent 2 }}
env:
  {{- include "loki-py.env" . | nindent 2 }}
ports:
  - name: http-metrics
    containerPort: 3100
  - name: grpc
    containerPort: 9095
  {{- if include "loki-py.takesPushes" . }}
  - name: otlp-grpc
    containerPort: 4317
  {{- end }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
# /services answers in every state: who waits for etcd, the bucket or the replay
# of the WAL is not ready, and no better for being killed.
startupProbe:
  httpGet: {path: /services, port: http-metrics}
  {{- toYaml .root.Values.probes.startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /services, port: http-metrics}
  {{- toYaml .root.Values.probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /ready, port: http-metrics}
  {{- toYaml .root.Values.probes.readiness | nindent 2 }}
lifecycle:
  preStop:
    exec: {command: [sleep, {{ int .root.Values.loki.preStopSleepSeconds | quote }}]}
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  - {name: config, mountPath: /etc/loki-py/config, readOnly: true}
  # A whole directory: changes do not reach single files that are mounted.
  - {name: runtime, mountPath: /etc/loki-py/runtime, readOnly: true}
  - {name: data, mountPath: /var/loki-py}
  - {name: tmp, mountPath: /tmp}
  {{- if include "loki-py.hasWalClaim" . }}
  - {name: wal, mountPath: /var/loki-py-wal}
  {{- end }}
  {{- if .root.Values.etcd.external.tls.enabled }}
  - {name: etcd-tls, mountPath: /etc/loki-py/etcd-tls, readOnly: true}
  {{- end }}
{{- end -}}

{{- define "loki-py.args" -}}
- serve
- --config=/etc/loki-py/config/loki-py.yaml
- --config.expand-env
- --target={{ .target }}
{{- if include "loki-py.hasWalClaim" . }}
- --set=ingester.wal.dir=/var/loki-py-wal/wal
{{- end }}
{{- if eq .data "claim" }}
{{- if or .values.flushOnStop (not .values.persistence.enabled) }}
- --set=ingester.flush_on_shutdown=true
{{- end }}
{{- end }}
{{- with .values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "loki-py.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- if .root.Values.ring.zones }}
# The program asks for a zone; what holds no streams is in none.
- name: ZONE
  value: {{ default "unzoned" .zone.name | quote }}
{{- end }}
{{- with .root.Values.storage.s3 }}
{{- if and .existingSecret (eq $.root.Values.storage.type "s3") }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .accessKeyIdKey }}}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .secretAccessKeyKey }}}}
{{- end }}
{{- end }}
{{- with .root.Values.etcd.external }}
{{- if .username }}
- name: ETCD_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .passwordSecret }}, key: {{ .passwordKey }}}}
{{- end }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether the WAL has a claim of its own: "true" or nothing. */}}
{{- define "loki-py.hasWalClaim" -}}
{{- if eq .data "claim" -}}
{{- if and .values.persistence.enabled .values.persistence.wal.enabled -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "loki-py.volumes" -}}
- name: config
  configMap: {name: {{ include "loki-py.fullname" .root }}-config}
- name: runtime
  configMap: {name: {{ include "loki-py.fullname" .root }}-runtime}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if eq .data "scratch" }}
- name: data
  emptyDir: {sizeLimit: {{ .values.scratchSize }}}
{{- else if not .values.persistence.enabled }}
- name: data
  emptyDir: {sizeLimit: {{ .values.persistence.size }}}
{{- end }}
{{- with .root.Values.etcd.external.tls }}
{{- if .enabled }}
- name: etcd-tls
  secret: {secretName: {{ .existingSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}

{{- define "loki-py.placement" -}}
affinity:
  {{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
  {{- else }}
  {{- include "loki-py.antiAffinity" . | nindent 2 }}
  {{- end }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "loki-py.selectorLabels" . | nindent 8 }}
  {{- end }}
{{- $nodes := .values.nodeSelector }}
{{- with .zone }}
{{- $nodes = mergeOverwrite (dict) $nodes .nodeSelector }}
{{- end }}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
