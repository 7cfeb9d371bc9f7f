{{/*
nginx before the program: pushes to those that write, questions to those that
read. What is not named here (flush, config, rings, metrics) is not reachable.
Names are resolved when nginx starts; the addresses of services do not change.
*/}}

{{- define "loki-py.gatewayUpstream" -}}
{{- $component := .component -}}
{{- if eq .root.Values.deploymentMode "SingleBinary" -}}
{{- $component = "single-binary" -}}
{{- end -}}
{{- $name := include "loki-py.componentName" (dict "root" .root "component" $component) -}}
upstream {{ .upstream }} {
  server {{ include "loki-py.domainName" (dict "root" .root "name" $name) }}:{{ .port }};
  keepalive 32;
}
{{- end -}}

{{/* Who asks, for one kind of upstream: proxy or grpc. Takes root, kind. */}}
{{- define "loki-py.gatewayUsers" -}}
{{- if .root.Values.gateway.basicAuth.enabled -}}
auth_basic "logs";
auth_basic_user_file /etc/loki-py/gateway-users/.htpasswd;
# Who asked is known here; the password goes no further.
{{ .kind }}_set_header Authorization "";
{{- if .root.Values.gateway.basicAuth.tenantIsUser }}
{{ .kind }}_set_header X-Scope-OrgID $remote_user;
{{- end }}
{{- end -}}
{{- end -}}

{{- define "loki-py.gatewayConfig" -}}
worker_processes 2;
pid /tmp/nginx.pid;
error_log stderr warn;
events {
  worker_connections 4096;
}
http {
  client_body_temp_path /tmp/client;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server_tokens off;
  access_log off;
  map $http_upgrade $connection_wanted {
    default upgrade;
    "" "";
  }
  {{- range $component := list "write" "read" }}
  {{- include "loki-py.gatewayUpstream" (dict "root" $ "component" $component "upstream" $component "port" "3100") | nindent 2 }}
  {{- end }}
  {{- include "loki-py.gatewayUpstream" (dict "root" $ "component" "write" "upstream" "otlp" "port" "4317") | nindent 2 }}
  server {
    listen 8080;
    client_max_body_size {{ .Values.gateway.bodySizeMax }};
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_read_timeout {{ int .Values.gateway.readTimeoutSeconds }}s;
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_wanted;
    {{- with include "loki-py.gatewayUsers" (dict "root" $ "kind" "proxy") }}
    {{- . | nindent 4 }}
    {{- end }}

    location = /ready {
      auth_basic off;
      default_type text/plain;
      return 200 "ready\n";
    }
    location = /loki/api/v1/push { proxy_pass http://write; }
    location = /api/prom/push { proxy_pass http://write; }
    location = /otlp/v1/logs { proxy_pass http://write; }
    location = /v1/logs { proxy_pass http://write; }
    location /loki/api/ { proxy_pass http://read; }
    location /api/prom/ { proxy_pass http://read; }
    location / { return 404; }
  }
  # OpenTelemetry over gRPC.
  server {
    listen 4317;
    http2 on;
    client_max_body_size {{ .Values.gateway.bodySizeMax }};
    grpc_read_timeout {{ int .Values.gateway.readTimeoutSeconds }}s;
    {{- with include "loki-py.gatewayUsers" (dict "root" $ "kind" "grpc") }}
    {{- . | nindent 4 }}
    {{- end }}

    location = /opentelemetry.proto.collector.logs.v1.LogsService/Export {
      grpc_pass grpc://otlp;
    }
    location / { return 404; }
  }
}
{{- end -}}
