{{- define "minutehand.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "minutehand.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "minutehand.labels" -}}
{{ include "minutehand.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "minutehand.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "minutehand.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "minutehand.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "minutehand.settings" -}}
{{ .Values.config | default (.Files.Get "files/minutehand.toml") }}
{{- end -}}

{{- define "minutehand.scheme" -}}
{{ ternary "HTTPS" "HTTP" .Values.tls }}
{{- end -}}

{{/* What every role is told by environment. */}}
{{- define "minutehand.environment" -}}
- name: MINUTEHAND_CLUSTER_REGION
  value: {{ .Values.cluster.region | quote }}
- name: MINUTEHAND_CLUSTER_PARTITIONS
  value: {{ .Values.cluster.partitions | quote }}
- name: MINUTEHAND_KAFKA_BROKERS
  value: {{ join "," .Values.kafka.brokers | quote }}
- name: MINUTEHAND_CASSANDRA_CONTACT_POINTS
  value: {{ join "," .Values.cassandra.contactPoints | quote }}
{{- with .Values.cassandra.replication }}
- name: MINUTEHAND_CASSANDRA_REPLICATION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.cassandra.localDatacenter }}
- name: MINUTEHAND_CASSANDRA_LOCAL_DATACENTER
  value: {{ . | quote }}
{{- end }}
- name: MINUTEHAND_ETCD_ENDPOINTS
  value: {{ join "," .Values.etcd.endpoints | quote }}
{{- end -}}

{{- define "minutehand.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "minutehand.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "minutehand.mounts" -}}
- name: settings
  mountPath: /etc/minutehand/minutehand.toml
  subPath: minutehand.toml
  readOnly: true
- name: secrets
  mountPath: /etc/minutehand/secrets
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end -}}

{{/* The volumes behind them; `settings` names the ConfigMap. */}}
{{- define "minutehand.volumes" -}}
- name: settings
  configMap:
    name: {{ .settings }}
- name: secrets
  secret:
    secretName: {{ .root.Values.secretName }}
    defaultMode: 0440
- name: tmp
  emptyDir: {}
{{- end -}}

{{/* The pod of a role: `root`, `role`, `port`, and `environment` of its own. */}}
{{- define "minutehand.pod" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .role -}}
metadata:
  labels:
    {{- include "minutehand.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Other settings start other pods.
    checksum/settings: {{ include "minutehand.settings" $root | sha256sum }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "minutehand.serviceAccount" $root }}
  automountServiceAccountToken: false
  # Services of the namespace are no settings.
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "minutehand.podSecurity" $root | nindent 4 }}
  containers:
    - name: {{ .role }}
      image: {{ include "minutehand.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [{{ .role }}, --config, /etc/minutehand/minutehand.toml]
      env:
        {{- include "minutehand.environment" $root | nindent 8 }}
        {{- with .environment }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- range $name, $value := $values.env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      ports:
        - name: http
          containerPort: {{ .port }}
      # It answers from the moment it listens, so a long wait for its servers restarts nothing.
      livenessProbe:
        httpGet: {path: /livez, port: http, scheme: {{ include "minutehand.scheme" $root }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http, scheme: {{ include "minutehand.scheme" $root }}}
        periodSeconds: 5
        timeoutSeconds: 5
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- include "minutehand.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- include "minutehand.mounts" $root | nindent 8 }}
  volumes:
    {{- include "minutehand.volumes" (dict "root" $root "settings" (include "minutehand.fullname" $root)) | nindent 4 }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- else }}
  # Not all on one machine, where there are several.
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "minutehand.selector" $root | nindent 16 }}
                app.kubernetes.io/component: {{ .role }}
  {{- end }}
{{- end -}}
