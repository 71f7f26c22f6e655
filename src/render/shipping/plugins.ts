/**
 * What fluent-bit calls its plugins and their keys (5.1, in lower case: it does not tell cases apart). A key that stands
 * here nowhere is a typing error, which fluent-bit itself says only when it has already stopped. Plugins that need what a
 * shipper does not have (a service account, a terminal, parsers of their own) are left out. Called by check.ts.
 */

const words = (text: string): readonly string[] => text.split(/\s+/).filter((w) => w !== '');
type Table = Readonly<Record<string, readonly string[]>>;

const COMMON = words('name match match_regex alias log_level log_suppress_interval');
const JSON_DATE = 'json_date_format json_date_key';
const GELF = 'gelf_full_message_key gelf_host_key gelf_level_key gelf_short_message_key gelf_timestamp_key';
const AWS_STREAM =
  'auto_retry_requests endpoint external_id log_key profile region role_arn sts_endpoint time_key time_key_format compression simple_aggregation';
const ELASTIC = `aws_auth aws_external_id aws_profile aws_region aws_role_arn aws_service_name aws_sts_endpoint buffer_size
  compress current_time_index generate_id http_passwd http_user id_key include_tag_key index logstash_dateformat
  logstash_format logstash_prefix logstash_prefix_key logstash_prefix_separator path pipeline replace_dots
  suppress_type_name tag_key time_key time_key_format time_key_nanos trace_error trace_output type write_operation`;

export const FILTERS: Table = {
  checklist: words('file ignore_case lookup_key mode print_query_time record'),
  expect: words('action key_exists key_not_exists key_val_eq key_val_is_not_null key_val_is_null result_key'),
  geoip2: words('database lookup_key record'),
  grep: words('exclude logical_op regex'),
  lua: words('call code enable_flb_null protected_mode script time_as_table type_array_key type_int_key'),
  modify: words(
    'add condition copy hard_copy hard_rename move_to_end move_to_start remove remove_regex remove_wildcard rename set',
  ),
  nest: words('add_prefix nest_under nested_under operation remove_prefix wildcard'),
  record_modifier: words('allowlist_key record remove_key uuid_key whitelist_key'),
  rewrite_tag: words('emitter_mem_buf_limit emitter_name emitter_storage.type rule'),
  stdout: [],
  sysinfo: words('fluentbit_version_key hostname_key kernel_version_key os_name_key os_version_key'),
  throttle: words('interval print_status rate window'),
  type_converter: words('float_key int_key str_key uint_key'),
  wasm: words('accessible_paths event_format function_name wasm_heap_size wasm_path wasm_stack_size'),
};

export const OUTPUTS: Table = {
  azure: words('customer_id log_type log_type_key shared_key time_generated time_key'),
  azure_logs_ingestion: words(
    'auth_url client_id client_secret compress dce_url dcr_id table_name tenant_id time_generated time_key',
  ),
  cloudwatch_logs:
    words(`add_entity auto_create_group auto_retry_requests endpoint external_id extra_user_agent log_format
    log_group_class log_group_name log_group_template log_key log_retention_days log_stream_name log_stream_prefix
    log_stream_template metric_dimensions metric_namespace profile region role_arn sts_endpoint`),
  datadog: words(`apikey compress dd_hostname dd_message_key dd_service dd_source dd_tags header include_tag_key
    json_date_key provider proxy tag_key`),
  es: words(`${ELASTIC} cloud_auth cloud_id http_api_key`),
  file: words(`csv_column_names delimiter file format label_delimiter mkdir path template`),
  forward: words(`add_option compress empty_shared_key fluentd_compat password require_ack_response
    retain_metadata_in_forward_mode self_hostname send_options shared_key tag time_as_integer username`),
  gelf: words(`compress mode packet_size gelf_tag_key ${GELF}`),
  http: words(`allow_duplicated_headers aws_auth aws_external_id aws_region aws_role_arn aws_service aws_sts_endpoint body_key compress format header header_tag headers_key
    http.read_idle_timeout http.response_timeout http_method http_passwd http_user log_response_payload oauth2.audience
    oauth2.auth_method oauth2.client_id oauth2.client_secret oauth2.connect_timeout oauth2.enable
    oauth2.refresh_skew_seconds oauth2.resource oauth2.scope oauth2.timeout oauth2.token_url proxy uri ${GELF} ${JSON_DATE}`),
  influxdb: words(`add_integer_suffix auto_tags bucket database http_header http_passwd http_token http_user org
    sequence_tag tag_keys uri`),
  kafka: words(`aws_msk_iam aws_msk_iam_cluster_arn brokers client_id dynamic_topic format group_id message_key
    message_key_field queue_full_retries raw_log_key timestamp_format timestamp_key topic_key topics ${GELF}`),
  'kafka-rest': words(
    'avro_http_header include_tag_key message_key partition tag_key time_key time_key_format topic url_path',
  ),
  kinesis_firehose: words(`delivery_stream ${AWS_STREAM}`),
  kinesis_streams: words(`stream ${AWS_STREAM}`),
  logdna: words('api_key app exclude_promoted_keys hostname ip logdna_endpoint logdna_host logdna_port mac tags'),
  loki: words(`auto_kubernetes_labels bearer_token buffer_size compress drop_single_key header http_passwd http_user
    label_keys labels line_format remove_keys structured_metadata structured_metadata_map_keys tenant_id tenant_id_key uri`),
  nats: [],
  nrlogs: words('api_key base_uri compress license_key'),
  null: words(`format ${JSON_DATE}`),
  opensearch: words(ELASTIC),
  opentelemetry: words(`add_label aws_auth aws_service batch_size compress grpc grpc_logs_uri header http2 http_passwd
    http_user log_response_payload logs_attributes_metadata_key logs_body_key logs_body_key_attributes
    logs_instrumentation_scope_metadata_key logs_metadata_key logs_observed_timestamp_metadata_key
    logs_resource_metadata_key logs_severity_number_message_key logs_severity_number_metadata_key
    logs_severity_text_message_key logs_severity_text_metadata_key logs_span_id_message_key logs_span_id_metadata_key
    logs_timestamp_metadata_key logs_trace_flags_metadata_key logs_trace_id_message_key logs_trace_id_metadata_key
    logs_uri proxy`),
  splunk: words(`auto_extract_timestamp channel compress event_field event_host event_index event_index_key event_key
    event_source event_sourcetype event_sourcetype_key http_buffer_size http_debug_bad_request http_passwd http_user
    splunk_send_raw splunk_token`),
  stdout: words(`format ${JSON_DATE}`),
  syslog: words(`allow_longer_sd_id mode syslog_appname_key syslog_appname_preset syslog_facility_key
    syslog_facility_preset syslog_format syslog_hostname_key syslog_hostname_preset syslog_maxsize syslog_message_key
    syslog_msgid_key syslog_msgid_preset syslog_procid_key syslog_procid_preset syslog_sd_key syslog_severity_key
    syslog_severity_preset`),
  tcp: words(`format raw_message_key ${JSON_DATE}`),
  td: words('api database region table'),
  udp: words(`format raw_message_key ${JSON_DATE}`),
  websocket: words(`format header uri ${JSON_DATE}`),
};

const ELSEWHERE = 'is not among what a shipper can do: send to a collector that has it, with forward or http';
const METRICS = 'is for metrics, and these are records';

/** What fluent-bit has, and a shipper of audit logs does not: by name, and why. */
export const LEFT_OUT: Readonly<Record<'filters' | 'outputs', Readonly<Record<string, string>>>> = {
  filters: {
    alter_size: 'is for tests of fluent-bit',
    aws: 'asks a metadata service, which no shipper reaches: each record has its node',
    ecs: 'asks an agent of ECS, which is not there: each record has its node',
    kubernetes:
      'asks an API server about the pod whose log it reads, with a service account: this log is of no pod, and each record has its cluster and node',
    log_to_metrics: METRICS,
    multiline: 'joins lines, and an event is always one line: leave it out',
    nightfall: ELSEWHERE,
    parser:
      "reads a field as a record, and records are that already, with fields such as $user['username']: leave it out",
    throttle_size: 'is no part of what fluent-bit releases: throttle is',
  },
  outputs: {
    azure_blob: ELSEWHERE,
    azure_kusto: ELSEWHERE,
    bigquery: ELSEWHERE,
    calyptia: ELSEWHERE,
    chronicle: ELSEWHERE,
    counter: 'counts records on its standard output, and sends none',
    exit: 'ends fluent-bit, and with it readiness of the API server',
    flowcounter: 'counts records on its standard output, and sends none',
    gcs: ELSEWHERE,
    lib: 'is for programs that fluent-bit is a part of',
    oracle_log_analytics: ELSEWHERE,
    pgsql: ELSEWHERE,
    plot: 'writes a file for a plotter',
    prometheus_exporter: METRICS,
    prometheus_remote_write: METRICS,
    retry: 'is for tests of fluent-bit',
    s3: ELSEWHERE,
    skywalking: ELSEWHERE,
    slack: ELSEWHERE,
    stackdriver: ELSEWHERE,
    vivo_exporter: 'waits to be asked, and a shipper opens no port',
    zig_demo: 'is an example',
  },
};

const OUTPUT_COMMON = words(`host port ipv6 retry_limit workers storage.total_limit_size
  tls tls.verify tls.verify_hostname tls.debug tls.vhost tls.ca_path tls.ca_file tls.crt_file tls.key_file tls.key_passwd
  tls.min_version tls.max_version tls.ciphers
  net.connect_timeout net.connect_timeout_log_error net.dns.mode net.dns.prefer_ipv4 net.dns.prefer_ipv6
  net.dns.resolver net.io_timeout net.keepalive net.keepalive_idle_timeout net.keepalive_max_recycle
  net.max_worker_connections net.proxy_env_ignore net.source_address net.tcp_keepalive net.tcp_keepalive_interval
  net.tcp_keepalive_probes net.tcp_keepalive_time`);

export const SERVICE = words(`flush flush.adaptive flush.adaptive.min_interval flush.adaptive.max_interval
  flush.adaptive.low_pressure flush.adaptive.medium_pressure flush.adaptive.high_pressure flush.adaptive.up_steps
  flush.adaptive.down_steps grace log_level json.convert_nan_to_null security.fips_mode
  http_server http_listen http_port health_check hc_errors_count hc_retry_failure_count hc_period
  dns.mode dns.resolver dns.prefer_ipv4 dns.prefer_ipv6
  storage.sync storage.checksum storage.metrics storage.max_chunks_up storage.backlog.mem_limit
  storage.delete_irrecoverable_chunks storage.trim_files coro_stack_size scheduler.cap scheduler.base`);

/** Only a datacenter sets them: they run programs, read or write files, or take the process out of its container's hands. */
export const RESTRICTED = {
  filters: ['checklist', 'exec', 'exec_wasi', 'geoip2', 'lua', 'tensorflow', 'wasm'],
  outputs: ['exec', 'file'],
  service: words('daemon include log_file parsers_file plugins_file streams_file hot_reload enable_chunk_trace'),
} as const;

/** Ours: where buffer and positions lie, so that they stay in the shipper's own folder and below its limit. */
export const RESERVED = words(
  'storage.path storage.type storage.inherit storage.keep.rejected storage.rejected.path storage.rejected.limit',
);

/** Those of the table, and of librdkafka whatever it knows. */
export function hasKey(kind: 'filters' | 'outputs', plugin: string, key: string): boolean {
  if (COMMON.includes(key) || (kind === 'outputs' && OUTPUT_COMMON.includes(key))) return true;
  if (plugin === 'kafka' && /^rdkafka\.[a-z0-9._]+$/.test(key)) return true;
  return ((kind === 'filters' ? FILTERS : OUTPUTS)[plugin] ?? []).includes(key);
}
export const keysOf = (kind: 'filters' | 'outputs', plugin: string): readonly string[] => [
  ...COMMON,
  ...(kind === 'outputs' ? OUTPUT_COMMON : []),
  ...((kind === 'filters' ? FILTERS : OUTPUTS)[plugin] ?? []),
];

/** Keys that may stand more than once in a section. */
export const REPEATABLE: ReadonlySet<string> = new Set(
  words(`regex exclude record remove_key allowlist_key whitelist_key add set remove rename hard_rename copy hard_copy
    condition remove_wildcard remove_regex move_to_start move_to_end wildcard rule header add_label add_option
    key_exists key_not_exists key_val_is_null key_val_is_not_null key_val_eq str_key int_key uint_key float_key
    event_field parsers_file plugins_file streams_file include lookup_key`),
);

/** Their value is a secret: it stands in a variable, which has it from a Secret. */
export const SECRETS: ReadonlySet<string> = new Set(
  words(`password shared_key http_passwd http_token http_api_key bearer_token splunk_token api_key apikey license_key
    client_secret oauth2.client_secret cloud_auth tls.key_passwd api
    rdkafka.sasl.password rdkafka.ssl.key.password`),
);
