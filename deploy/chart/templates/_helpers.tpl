{{- define "amend.name" -}}
{{ printf "%s-amend" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "amend.selector" -}}
app.kubernetes.io/name: amend
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "amend.labels" -}}
{{ include "amend.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "amend.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}

{{- define "amend.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "amend.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Settings that hold in every container, over what the image says. */ -}}
{{- define "amend.settings" -}}
{{- if not (hasKey .Values.settings "AMEND_LOG_FORMAT") }}
AMEND_LOG_FORMAT: json
{{- end }}
{{- if .Values.policy }}
{{- if hasKey .Values.settings "AMEND_POLICY" }}
{{- fail "The policy stands in `policy`, or AMEND_POLICY in `settings` names its file; not both." }}
{{- end }}
AMEND_POLICY: /policy/policy.toml
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* Never by accident: replicas with a SQLite file each. */ -}}
{{- define "amend.database" -}}
- name: DATABASE_URL
{{- if eq .Values.database "sqlite" }}
  value: sqlite:////data/amend.db
{{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.existingSecret }}
      key: DATABASE_URL
{{- end }}
{{- end }}

{{- /* Name servers, and the TCP ports that values name. */ -}}
{{- define "amend.egress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    {{- range .Values.networkPolicy.egressPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
