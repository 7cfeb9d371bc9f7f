{{/* Values that fit the schema and still make no store. */}}

{{- define "loki-py.validate" -}}
{{- $ingesters := .Values.write -}}
{{- if eq .Values.deploymentMode "SingleBinary" -}}
{{- $ingesters = .Values.singleBinary -}}
{{- end -}}
{{- $zones := len .Values.ring.zones -}}
{{- $count := int $ingesters.replicas -}}
{{- if $zones -}}
{{- $count = mul $zones $count | int -}}
{{- end -}}
{{- $isCluster := or (eq .Values.deploymentMode "SimpleScalable") (gt $count 1) -}}
{{- $factor := int .Values.loki.replicationFactor -}}
{{- if and $isCluster (ne .Values.storage.type "s3") -}}
{{- fail "several processes share a bucket: set storage.type to s3" -}}
{{- end -}}
{{- if and $isCluster (not (include "loki-py.hasEtcd" .)) -}}
{{- fail "several processes find each other in etcd: set etcd.enabled or etcd.external.endpoints" -}}
{{- end -}}
{{- if and .Values.etcd.enabled .Values.etcd.external.endpoints -}}
{{- fail "etcd.enabled and etcd.external.endpoints exclude each other" -}}
{{- end -}}
{{- if and .Values.memcached.enabled .Values.memcached.external.addresses -}}
{{- fail "memcached.enabled and memcached.external.addresses exclude each other" -}}
{{- end -}}
{{- if and (eq .Values.storage.type "s3") (not .Values.storage.s3.bucket) -}}
{{- fail "storage.type is s3: storage.s3.bucket is empty" -}}
{{- end -}}
{{- if gt $factor $count -}}
{{- fail (printf "loki.replicationFactor is %d: there are only %d ingesters" $factor $count) -}}
{{- end -}}
{{- if and $zones (gt $factor $zones) -}}
{{- fail (printf "loki.replicationFactor is %d: there are only %d zones" $factor $zones) -}}
{{- end -}}
{{- if and .Values.gateway.enabled .Values.gateway.basicAuth.enabled (not .Values.gateway.basicAuth.existingSecret) -}}
{{- fail "gateway.basicAuth.enabled needs gateway.basicAuth.existingSecret" -}}
{{- end -}}
{{- with .Values.etcd.external -}}
{{- if and .tls.enabled (not .tls.existingSecret) -}}
{{- fail "etcd.external.tls.enabled needs etcd.external.tls.existingSecret" -}}
{{- end -}}
{{- if and .username (not .passwordSecret) -}}
{{- fail "etcd.external.username needs etcd.external.passwordSecret" -}}
{{- end -}}
{{- end -}}
{{- $needed := add (int .Values.loki.gracefulShutdownSeconds) (int .Values.loki.preStopSleepSeconds) | int -}}
{{- range $name := list "singleBinary" "write" "read" "backend" -}}
{{- $given := int (index $.Values $name).terminationGracePeriodSeconds -}}
{{- if le $given $needed -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d: it must exceed the %d s of loki.gracefulShutdownSeconds and loki.preStopSleepSeconds" $name $given $needed) -}}
{{- end -}}
{{- end -}}
{{- end -}}
