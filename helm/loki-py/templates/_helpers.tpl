{{/* Names, labels, images: what every object shares. */}}

{{- define "loki-py.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix of all names; 40 characters leave room for the longest suffix. */}}
{{- define "loki-py.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "loki-py.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "loki-py.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects. Takes root, component. */}}
{{- define "loki-py.componentName" -}}
{{- if eq .component "single-binary" -}}
{{- include "loki-py.fullname" .root -}}
{{- else -}}
{{- printf "%s-%s" (include "loki-py.fullname" .root) .component -}}
{{- end -}}
{{- end -}}

{{/* The domain name of a service. Takes root, name. */}}
{{- define "loki-py.domainName" -}}
{{- printf "%s.%s.svc.%s" .name .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end -}}

{{/* What selects every pod of the release. */}}
{{- define "loki-py.releaseLabels" -}}
app.kubernetes.io/name: {{ include "loki-py.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What selects a component's pods. Takes root, component. */}}
{{- define "loki-py.selectorLabels" -}}
{{ include "loki-py.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object. Takes root, component. */}}
{{- define "loki-py.labels" -}}
{{ include "loki-py.selectorLabels" . }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image's reference. Takes image, version. */}}
{{- define "loki-py.image" -}}
{{- $name := .image.repository -}}
{{- if .image.registry -}}
{{- $name = printf "%s/%s" .image.registry .image.repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .version .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "loki-py.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "loki-py.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Pods on different nodes. Takes root, component, values. */}}
{{- define "loki-py.antiAffinity" -}}
{{- if eq .values.antiAffinity "hard" -}}
podAntiAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- include "loki-py.selectorLabels" . | nindent 10 }}
{{- else if eq .values.antiAffinity "soft" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "loki-py.selectorLabels" . | nindent 12 }}
{{- end -}}
{{- end -}}

{{/* Whether there is an etcd: "true" or nothing. */}}
{{- define "loki-py.hasEtcd" -}}
{{- if or .Values.etcd.enabled .Values.etcd.external.endpoints -}}true{{- end -}}
{{- end -}}

{{/* The etcd endpoints, as a YAML list. */}}
{{- define "loki-py.etcdEndpoints" -}}
{{- if .Values.etcd.enabled -}}
{{- $name := printf "%s-etcd" (include "loki-py.fullname" .) -}}
{{- range $i := until (int .Values.etcd.replicas) }}
- {{ printf "%s-%d.%s:2379" $name $i (include "loki-py.domainName" (dict "root" $ "name" (printf "%s-headless" $name))) }}
{{- end }}
{{- else -}}
{{ toYaml .Values.etcd.external.endpoints }}
{{- end -}}
{{- end -}}

{{/* The memcached servers, separated by commas; nothing where there are none. */}}
{{- define "loki-py.memcachedAddresses" -}}
{{- if .Values.memcached.enabled -}}
{{- $name := printf "%s-memcached" (include "loki-py.fullname" .) -}}
{{- range $i := until (int .Values.memcached.replicas) -}}
{{- if $i }},{{ end -}}
{{- printf "%s-%d.%s:11211" $name $i (include "loki-py.domainName" (dict "root" $ "name" (printf "%s-headless" $name))) -}}
{{- end -}}
{{- else -}}
{{- join "," .Values.memcached.external.addresses -}}
{{- end -}}
{{- end -}}
