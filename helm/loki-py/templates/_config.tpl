{{/*
The program's configuration. What differs from pod to pod comes from the
environment (--config.expand-env) or from --set. No secret is in it.
*/}}

{{- define "loki-py.config" -}}
{{- $written := include "loki-py.configWritten" . | fromYaml -}}
{{- $text := toYaml (mergeOverwrite $written .Values.loki.config) -}}
{{- /* In quotes: an address or a password must not be read as a number. */ -}}
{{- range $name := list "POD_NAME" "POD_IP" "ZONE" "ETCD_PASSWORD" -}}
{{- $text = replace (printf "FROM_ENV_%s" $name) (printf "'${%s}'" $name) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{- define "loki-py.configWritten" -}}
auth_enabled: {{ .Values.loki.authEnabled }}
server:
  http_listen_address: {{ .Values.loki.listenAddress | quote }}
  http_listen_port: 3100
  grpc_listen_address: {{ .Values.loki.listenAddress | quote }}
  grpc_listen_port: 9095
  graceful_shutdown_timeout: {{ printf "%ds" (int .Values.loki.gracefulShutdownSeconds) }}
  log_level: {{ .Values.loki.logLevel }}
  log_format: {{ .Values.loki.logFormat }}
otlp:
  grpc_listen_port: 4317
common:
  path_prefix: /var/loki-py
  instance_id: FROM_ENV_POD_NAME
  {{- if include "loki-py.hasEtcd" . }}
  instance_addr: FROM_ENV_POD_IP
  replication_factor: {{ int .Values.loki.replicationFactor }}
  ring:
    {{- include "loki-py.configRing" . | nindent 4 }}
  {{- end }}
  {{- if eq .Values.storage.type "s3" }}
  storage:
    s3:
      {{- with .Values.storage.s3 }}
      bucketnames: {{ .bucket | quote }}
      region: {{ .region | quote }}
      endpoint: {{ .endpoint | quote }}
      s3forcepathstyle: {{ .forcePathStyle }}
      insecure: {{ .insecure }}
      {{- end }}
  {{- end }}
{{- with include "loki-py.memcachedAddresses" . }}
chunk_store_config:
  chunk_cache_config:
    memcached_client:
      addresses: {{ . | quote }}
      timeout: {{ $.Values.memcached.timeout }}
      max_item_size: {{ printf "%dMB" (int $.Values.memcached.maxItemMb) }}
{{- end }}
{{- with .Values.loki.limits }}
limits_config:
  {{- toYaml . | nindent 2 }}
{{- end }}
runtime_config:
  file: /etc/loki-py/runtime/overrides.yaml
  period: 10s
{{- end -}}

{{- define "loki-py.configRing" -}}
heartbeat_period: {{ .Values.ring.heartbeatPeriod }}
heartbeat_timeout: {{ .Values.ring.heartbeatTimeout }}
{{- if .Values.ring.zones }}
zone_awareness_enabled: true
instance_availability_zone: FROM_ENV_ZONE
{{- end }}
kvstore:
  store: etcd
  etcd:
    endpoints:
      {{- include "loki-py.etcdEndpoints" . | nindent 6 }}
    {{- with .Values.etcd.external }}
    {{- if .username }}
    username: {{ .username | quote }}
    password: FROM_ENV_ETCD_PASSWORD
    {{- end }}
    {{- if .tls.enabled }}
    tls_enabled: true
    tls_ca_path: /etc/loki-py/etcd-tls/ca.crt
    {{- if .tls.mutual }}
    tls_cert_path: /etc/loki-py/etcd-tls/tls.crt
    tls_key_path: /etc/loki-py/etcd-tls/tls.key
    {{- end }}
    tls_server_name: {{ .tls.serverName | quote }}
    {{- end }}
    {{- end }}
{{- end -}}
