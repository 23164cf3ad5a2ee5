/**
 * The one error that operating conditions raise, and the table of what can happen.
 *
 * A code is PostgreSQL's condition name (appendix "PostgreSQL Error Codes"); the table adds what PostgreSQL has no
 * name for. Each row: SQLSTATE, HTTP status, and whether repeating the same request can help.
 *
 * Not here: bugs. A broken invariant is an `AssertionError` (assert.ts) and is never caught as a condition.
 */
const table = {
  successful_completion: ['00000', 200, false],
  warning: ['01000', 200, false],
  no_data: ['02000', 404, false],
  connection_exception: ['08000', 503, true],
  connection_does_not_exist: ['08003', 503, true],
  connection_failure: ['08006', 503, true],
  protocol_violation: ['08P01', 400, false],
  feature_not_supported: ['0A000', 501, false],
  invalid_transaction_initiation: ['0B000', 400, false],
  invalid_grantor: ['0L000', 403, false],
  case_not_found: ['20000', 400, false],
  cardinality_violation: ['21000', 400, false],
  data_exception: ['22000', 400, false],
  string_data_right_truncation: ['22001', 400, false],
  string_data_length_mismatch: ['22026', 400, false],
  null_value_no_indicator_parameter: ['22002', 400, false],
  numeric_value_out_of_range: ['22003', 400, false],
  null_value_not_allowed: ['22004', 400, false],
  invalid_datetime_format: ['22007', 400, false],
  datetime_field_overflow: ['22008', 400, false],
  invalid_time_zone_displacement_value: ['22009', 400, false],
  invalid_parameter_value: ['22023', 400, false],
  invalid_preceding_or_following_size: ['22013', 400, false],
  substring_error: ['22011', 400, false],
  division_by_zero: ['22012', 400, false],
  interval_field_overflow: ['22015', 400, false],
  invalid_argument_for_logarithm: ['2201E', 400, false],
  invalid_argument_for_power_function: ['2201F', 400, false],
  invalid_argument_for_width_bucket_function: ['2201G', 400, false],
  invalid_row_count_in_limit_clause: ['2201W', 400, false],
  invalid_row_count_in_result_offset_clause: ['2201X', 400, false],
  character_not_in_repertoire: ['22021', 400, false],
  untranslatable_character: ['22P05', 400, false],
  invalid_escape_sequence: ['22025', 400, false],
  invalid_regular_expression: ['2201B', 400, false],
  invalid_argument_for_nth_value_function: ['22016', 400, false],
  invalid_argument_for_ntile_function: ['22014', 400, false],
  invalid_tablesample_argument: ['2202H', 400, false],
  invalid_text_representation: ['22P02', 400, false],
  invalid_binary_representation: ['22P03', 400, false],
  bad_copy_file_format: ['22P04', 400, false],
  array_subscript_error: ['2202E', 400, false],
  zero_length_character_string: ['2200F', 400, false],
  invalid_json_text: ['22032', 400, false],
  duplicate_json_object_key_value: ['22030', 400, false],
  sql_json_scalar_required: ['2203F', 400, false],
  sql_json_array_not_found: ['22039', 400, false],
  singleton_sql_json_item_required: ['22038', 400, false],
  invalid_argument_for_sql_json_datetime_function: ['22031', 400, false],
  invalid_sql_json_subscript: ['22033', 400, false],
  non_numeric_sql_json_item: ['22036', 400, false],
  sql_json_member_not_found: ['2203A', 400, false],
  sql_json_number_not_found: ['2203B', 400, false],
  sql_json_object_not_found: ['2203C', 400, false],
  invalid_indicator_parameter_value: ['22010', 400, false],
  sequence_generator_limit_exceeded: ['2200H', 400, false],
  integrity_constraint_violation: ['23000', 409, false],
  restrict_violation: ['23001', 409, false],
  not_null_violation: ['23502', 409, false],
  foreign_key_violation: ['23503', 409, false],
  unique_violation: ['23505', 409, false],
  check_violation: ['23514', 409, false],
  exclusion_violation: ['23P01', 409, false],
  invalid_cursor_state: ['24000', 400, false],
  invalid_transaction_state: ['25000', 400, false],
  active_sql_transaction: ['25001', 400, false],
  no_active_sql_transaction: ['25P01', 400, false],
  in_failed_sql_transaction: ['25P02', 400, false],
  read_only_sql_transaction: ['25006', 400, false],
  idle_in_transaction_session_timeout: ['25P03', 408, true],
  invalid_sql_statement_name: ['26000', 400, false],
  triggered_data_change_violation: ['27000', 409, false],
  invalid_authorization_specification: ['28000', 401, false],
  invalid_password: ['28P01', 401, false],
  dependent_objects_still_exist: ['2BP01', 409, false],
  invalid_transaction_termination: ['2D000', 400, false],
  invalid_cursor_name: ['34000', 400, false],
  invalid_savepoint_specification: ['3B001', 400, false],
  invalid_catalog_name: ['3D000', 404, false],
  invalid_schema_name: ['3F000', 404, false],
  serialization_failure: ['40001', 409, true],
  transaction_integrity_constraint_violation: ['40002', 409, false],
  statement_completion_unknown: ['40003', 503, false],
  deadlock_detected: ['40P01', 409, true],
  syntax_error_or_access_rule_violation: ['42000', 400, false],
  syntax_error: ['42601', 400, false],
  insufficient_privilege: ['42501', 403, false],
  cannot_coerce: ['42846', 400, false],
  grouping_error: ['42803', 400, false],
  windowing_error: ['42P20', 400, false],
  invalid_recursion: ['42P19', 400, false],
  invalid_foreign_key: ['42830', 400, false],
  invalid_name: ['42602', 400, false],
  name_too_long: ['42622', 400, false],
  reserved_name: ['42939', 400, false],
  datatype_mismatch: ['42804', 400, false],
  indeterminate_datatype: ['42P18', 400, false],
  collation_mismatch: ['42P21', 400, false],
  wrong_object_type: ['42809', 400, false],
  generated_always: ['428C9', 400, false],
  undefined_column: ['42703', 400, false],
  undefined_function: ['42883', 400, false],
  undefined_table: ['42P01', 404, false],
  undefined_parameter: ['42P02', 400, false],
  undefined_object: ['42704', 404, false],
  duplicate_column: ['42701', 409, false],
  duplicate_cursor: ['42P03', 409, false],
  duplicate_database: ['42P04', 409, false],
  duplicate_function: ['42723', 409, false],
  duplicate_prepared_statement: ['42P05', 409, false],
  duplicate_schema: ['42P06', 409, false],
  duplicate_table: ['42P07', 409, false],
  duplicate_alias: ['42712', 409, false],
  duplicate_object: ['42710', 409, false],
  ambiguous_column: ['42702', 400, false],
  ambiguous_function: ['42725', 400, false],
  ambiguous_parameter: ['42P08', 400, false],
  ambiguous_alias: ['42P09', 400, false],
  invalid_column_reference: ['42P10', 400, false],
  invalid_column_definition: ['42611', 400, false],
  invalid_cursor_definition: ['42P11', 400, false],
  invalid_database_definition: ['42P12', 400, false],
  invalid_function_definition: ['42P13', 400, false],
  invalid_prepared_statement_definition: ['42P14', 400, false],
  invalid_schema_definition: ['42P15', 400, false],
  invalid_table_definition: ['42P16', 400, false],
  invalid_object_definition: ['42P17', 400, false],
  with_check_option_violation: ['44000', 400, false],
  insufficient_resources: ['53000', 503, true],
  disk_full: ['53100', 507, true],
  out_of_memory: ['53200', 503, true],
  too_many_connections: ['53300', 503, true],
  configuration_limit_exceeded: ['53400', 400, false],
  program_limit_exceeded: ['54000', 400, false],
  statement_too_complex: ['54001', 400, false],
  too_many_columns: ['54011', 400, false],
  too_many_arguments: ['54023', 400, false],
  object_not_in_prerequisite_state: ['55000', 409, false],
  object_in_use: ['55006', 409, true],
  cant_change_runtime_param: ['55P02', 400, false],
  lock_not_available: ['55P03', 409, true],
  unsafe_new_enum_value_usage: ['55P04', 400, false],
  operator_intervention: ['57000', 503, true],
  query_canceled: ['57014', 499, true],
  admin_shutdown: ['57P01', 503, true],
  idle_session_timeout: ['57P05', 408, true],
  crash_shutdown: ['57P02', 503, true],
  cannot_connect_now: ['57P03', 503, true],
  database_dropped: ['57P04', 410, false],
  system_error: ['58000', 500, false],
  io_error: ['58030', 500, false],
  undefined_file: ['58P01', 404, false],
  config_file_error: ['F0000', 500, false],
  lock_file_exists: ['F0001', 409, false],
  snapshot_too_old: ['72000', 409, true],
  raise_exception: ['P0001', 400, false],
  no_data_found: ['P0002', 404, false],
  too_many_rows: ['P0003', 400, false],
  internal_error: ['XX000', 500, false],
  data_corrupted: ['XX001', 500, false],
  index_corrupted: ['XX002', 500, false],
  incompatible_format: ['F0002', 500, false],
  event_key_malformed: ['LE001', 400, false],
  event_conflict: ['LE002', 409, false],
  event_too_large: ['LE003', 413, false],
  event_schema_violation: ['LE004', 400, false],
  position_unknown: ['LE005', 409, false],
  store_closed: ['LE006', 503, true],
  store_restored: ['LE007', 409, true],
  clock_skewed: ['LE008', 409, true],
  unsupported_media_type: ['LH415', 415, false],
  not_acceptable: ['LH406', 406, false],
  request_too_large: ['LH413', 413, false],
} as const satisfies Record<string, readonly [sqlstate: string, http: number, retryable: boolean]>

export type ErrorCode = keyof typeof table

/** The optional fields of a report; names follow PostgreSQL's ErrorResponse message. */
export interface ErrorFields {
  /** More about what happened, as a sentence. */
  detail?: string
  /** What the user can do, as a sentence. */
  hint?: string
  /** 1-based character position in the statement text. */
  position?: number
  where?: string
  schema?: string
  table?: string
  column?: string
  dataType?: string
  constraint?: string
  cause?: unknown
}

export class DbError extends Error {
  override readonly name = 'DbError'
  readonly code: ErrorCode
  detail: string | undefined
  hint: string | undefined
  position: number | undefined
  where: string | undefined
  schema: string | undefined
  table: string | undefined
  column: string | undefined
  dataType: string | undefined
  constraint: string | undefined

  constructor(code: ErrorCode, message: string, fields?: ErrorFields) {
    super(message, fields?.cause === undefined ? undefined : { cause: fields.cause })
    this.code = code
    this.detail = fields?.detail
    this.hint = fields?.hint
    this.position = fields?.position
    this.where = fields?.where
    this.schema = fields?.schema
    this.table = fields?.table
    this.column = fields?.column
    this.dataType = fields?.dataType
    this.constraint = fields?.constraint
  }

  get sqlstate(): string {
    return table[this.code][0]
  }

  get httpStatus(): number {
    return table[this.code][1]
  }

  /** Whether repeating the same request (or whole transaction) can succeed. */
  get retryable(): boolean {
    return table[this.code][2]
  }
}

const codeOf = new Map<string, ErrorCode>()
for (const code of Object.keys(table) as ErrorCode[]) codeOf.set(table[code][0], code)

/** The code of a SQLSTATE, or undefined when the table has none. */
export function codeOfSqlstate(sqlstate: string): ErrorCode | undefined {
  return codeOf.get(sqlstate)
}

export function sqlstateOf(code: ErrorCode): string {
  return table[code][0]
}

export function isErrorCode(name: string): name is ErrorCode {
  return name in table
}
