{{- define "wavecom.labels" -}}
app.kubernetes.io/name: wavecom
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "wavecom.selector" -}}
app.kubernetes.io/name: wavecom
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .process }}
{{- end }}

{{/* A pod that runs one process of the Procfile: dict "root" $ "process" "web" "values" .Values.web, and "probes". */}}
{{- define "wavecom.pod" -}}
metadata:
  labels:
    {{- include "wavecom.selector" . | nindent 4 }}
  annotations:
    # A process reads its settings once: other settings, other pods.
    checksum/settings: {{ include (print .root.Template.BasePath "/settings.yaml") .root | sha256sum }}
spec:
  terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "wavecom.selector" . | nindent 10 }}
  containers:
    - name: {{ .process }}
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [wavecom, start, {{ .process }}]
      envFrom:
        - secretRef: {name: {{ .root.Values.existingSecret }}}
        - configMapRef: {name: {{ .root.Release.Name }}-settings}
      securityContext:
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      {{- with .ports }}
      ports:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .probes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      volumeMounts:
        - {name: home, mountPath: /var/lib/wavecom}
        - {name: tmp, mountPath: /tmp}
        {{- if or .root.Values.providers.existingSecret .root.Values.providers.existingConfigMap }}
        - {name: providers, mountPath: /etc/wavecom, readOnly: true}
        {{- end }}
  volumes:
    - {name: home, emptyDir: {}}
    - {name: tmp, emptyDir: {}}
    {{- with .root.Values.providers.existingSecret }}
    - {name: providers, secret: {secretName: {{ . }}}}
    {{- end }}
    {{- with .root.Values.providers.existingConfigMap }}
    - {name: providers, configMap: {name: {{ . }}}}
    {{- end }}
{{- end }}

{{/* Whether a worker has to be started again, as `wavecom health --fatal` says, whose node has the name of its pod.
     Not for a consumer cancelled or a queue that does not move: starting workers again would not mend those. */}}
{{- define "wavecom.workerProbes" -}}
startupProbe:
  exec: {command: [sh, -c, 'wavecom health --fatal "{{ .process }}@$HOSTNAME"']}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 18
livenessProbe:
  exec: {command: [sh, -c, 'wavecom health --fatal "{{ .process }}@$HOSTNAME"']}
  periodSeconds: 60
  timeoutSeconds: 15
  # A worker that makes no progress for two minutes ends itself; this is for one that can't.
  failureThreshold: 5
{{- end }}
