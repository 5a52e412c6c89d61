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

{{- /* Name servers, the TCP ports that values name, and that of each address among the settings. */ -}}
{{- define "amend.egress" -}}
{{- $ports := list }}
{{- range .Values.networkPolicy.egressPorts }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- range $name, $value := omit .Values.settings "AMEND_PUBLIC_URL" }}
{{- if regexMatch "^https?://" $value }}
{{- $url := urlParse $value }}
{{- $usual := ternary 80 (ternary 12431 443 (eq $name "CCS_URL")) (eq $url.scheme "http") }}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default $usual | int) }}
{{- end }}
{{- end }}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    {{- range $ports | uniq }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{- /* Where a SQLite file lies; with PostgreSQL nothing is kept there. */ -}}
{{- define "amend.data" -}}
- name: data
  {{- if eq .Values.database "sqlite" }}
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | default (include "amend.name" .) }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}

{{- /* One command of `amend` before the pods start, with the way to the database that a policy lets them. */ -}}
{{- define "amend.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "amend.name" .root }}-{{ .name }}
  labels: {{- include "amend.labels" .root | nindent 4 }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 10
  activeDeadlineSeconds: 900
  template:
    metadata:
      labels:
        app.kubernetes.io/name: amend-migrate
        app.kubernetes.io/instance: {{ .root.Release.Name }}
    spec:
      restartPolicy: OnFailure
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: {{- include "amend.podSecurity" .root | nindent 8 }}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ include "amend.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: {{- prepend .args "amend" | toYaml | nindent 12 }}
          securityContext: {{- include "amend.security" .root | nindent 12 }}
          env: {{- include "amend.database" .root | nindent 12 }}
          envFrom:
            - secretRef:
                name: {{ .root.Values.existingSecret }}
          resources: {{- toYaml .root.Values.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            - {name: data, mountPath: /data}
            {{- if .root.Values.certificates }}
            - {name: certificates, mountPath: /certificates, readOnly: true}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- include "amend.data" .root | nindent 8 }}
        {{- if .root.Values.certificates }}
        - name: certificates
          configMap:
            name: {{ .root.Values.certificates }}
        {{- end }}
{{- end }}
