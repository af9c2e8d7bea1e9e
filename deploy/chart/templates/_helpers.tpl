{{- define "kv-event-sync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "kv-event-sync.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "kv-event-sync.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "kv-event-sync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kv-event-sync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kv-event-sync.labels" -}}
{{ include "kv-event-sync.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "kv-event-sync.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "kv-event-sync.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "kv-event-sync.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* Where engines run. */}}
{{- define "kv-event-sync.engineNamespace" -}}
{{- with .Values.discovery }}
{{- if and .allNamespaces .namespace }}
{{- fail (printf "discovery.namespace is %q while discovery.allNamespaces is true: leave out one of them" .namespace) }}
{{- end }}
{{- end }}
{{- default .Release.Namespace .Values.discovery.namespace }}
{{- end }}

{{- /* a=b,c=d: what the watch selects by. */}}
{{- define "kv-event-sync.engineSelector" -}}
{{- $pairs := list }}
{{- range $name, $value := .Values.engines.labels }}
{{- $pairs = append $pairs (printf "%s=%s" $name $value) }}
{{- end }}
{{- join "," $pairs }}
{{- end }}

{{- /* One rule for pods get, list and watch; nothing else is asked of the API server. */}}
{{- define "kv-event-sync.rules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- end }}

{{- /* The ports of all ranks from one on, as a NetworkPolicy has them. */}}
{{- define "kv-event-sync.rankPorts" -}}
- protocol: TCP
  port: {{ .port }}
  {{- if gt (int .ranks) 1 }}
  endPort: {{ min 65535 (sub (add .port .ranks) 1) }}
  {{- end }}
{{- end }}
