/**
 * The nodes that may stand in a query, with all their fields, as libpg_query 18 prints them. A node or field that is
 * not here makes a statement "not proven a read": new grammar is denied until somebody has looked at it.
 *
 * `field` holds no nodes; `field*` holds a wrapped node or a list of them; `field:Type` holds the fields of that node
 * type without the wrapping. Source: src/include/nodes/parsenodes.h and primnodes.h of PostgreSQL 18.
 */
const NODES: Readonly<Record<string, string>> = {
  SelectStmt:
    'distinctClause* intoClause:IntoClause targetList* fromClause* whereClause* groupClause* groupDistinct havingClause* ' +
    'windowClause* valuesLists* sortClause* limitOffset* limitCount* limitOption lockingClause* withClause:WithClause op all ' +
    'larg:SelectStmt rarg:SelectStmt',
  InsertStmt:
    'relation:RangeVar cols* selectStmt* onConflictClause:OnConflictClause returningClause:ReturningClause withClause:WithClause override',
  UpdateStmt: 'relation:RangeVar targetList* whereClause* fromClause* returningClause:ReturningClause withClause:WithClause',
  DeleteStmt: 'relation:RangeVar usingClause* whereClause* returningClause:ReturningClause withClause:WithClause',
  MergeStmt:
    'relation:RangeVar sourceRelation* joinCondition* mergeWhenClauses* returningClause:ReturningClause withClause:WithClause',
  OnConflictClause: 'action infer:InferClause targetList* whereClause*',
  InferClause: 'indexElems* whereClause* conname',
  IndexElem: 'name expr* indexcolname collation* opclass* opclassopts* ordering nulls_ordering',
  MergeWhenClause: 'matchKind commandType override condition* targetList* values*',
  ReturningClause: 'options* exprs*',
  ReturningOption: 'option value',
  MergeSupportFunc: '',
  WithClause: 'ctes* recursive',
  CommonTableExpr: 'ctename aliascolnames* ctematerialized ctequery* search_clause:CTESearchClause cycle_clause:CTECycleClause',
  CTESearchClause: 'search_col_list* search_breadth_first search_seq_column',
  CTECycleClause: 'cycle_col_list* cycle_mark_column cycle_mark_value* cycle_mark_default* cycle_path_column',
  IntoClause: 'rel:RangeVar colNames* accessMethod options* onCommit tableSpaceName skipData',
  LockingClause: 'lockedRels* strength waitPolicy',
  ResTarget: 'name indirection* val*',
  MultiAssignRef: 'source* colno ncolumns',
  SortBy: 'node* sortby_dir sortby_nulls useOp*',
  WindowDef: 'name refname partitionClause* orderClause* frameOptions startOffset* endOffset*',
  GroupingSet: 'kind content*',
  GroupingFunc: 'args*',
  RangeVar: 'catalogname schemaname relname inh relpersistence alias:Alias',
  RangeSubselect: 'lateral subquery* alias:Alias',
  RangeFunction: 'lateral ordinality is_rowsfrom functions* alias:Alias coldeflist*',
  RangeTableFunc: 'lateral docexpr* rowexpr* namespaces* columns* alias:Alias',
  RangeTableFuncCol: 'colname typeName:TypeName for_ordinality is_not_null colexpr* coldefexpr*',
  RangeTableSample: 'relation* method* args* repeatable*',
  JoinExpr: 'jointype isNatural larg* rarg* usingClause* join_using_alias:Alias quals* alias:Alias rtindex',
  Alias: 'aliasname colnames*',
  ColumnDef: 'colname typeName:TypeName is_local collClause:CollateClause',
  A_Const: 'ival fval boolval sval bsval isnull',
  ColumnRef: 'fields*',
  ParamRef: 'number',
  A_Star: '',
  A_Expr: 'kind name* lexpr* rexpr* rexpr_list_start rexpr_list_end',
  BoolExpr: 'boolop args*',
  NullTest: 'arg* nulltesttype argisrow',
  BooleanTest: 'arg* booltesttype',
  FuncCall:
    'funcname* args* agg_order* agg_filter* over:WindowDef agg_within_group agg_star agg_distinct func_variadic funcformat',
  NamedArgExpr: 'arg* name argnumber',
  TypeCast: 'arg* typeName:TypeName',
  TypeName: 'names* setof pct_type typmods* typemod arrayBounds*',
  CollateClause: 'arg* collname*',
  A_Indirection: 'arg* indirection*',
  A_Indices: 'is_slice lidx* uidx*',
  A_ArrayExpr: 'elements* list_start list_end',
  RowExpr: 'args* row_format colnames*',
  SubLink: 'subLinkType testexpr* operName* subselect*',
  CaseExpr: 'arg* args* defresult*',
  CaseWhen: 'expr* result*',
  CoalesceExpr: 'args*',
  MinMaxExpr: 'op args*',
  SQLValueFunction: 'op typmod',
  SetToDefault: '',
  XmlExpr: 'op name named_args* args* xmloption indent typmod',
  XmlSerialize: 'xmloption expr* typeName:TypeName indent',
  JsonFormat: 'format_type encoding',
  JsonReturning: 'format:JsonFormat typmod',
  JsonValueExpr: 'raw_expr* format:JsonFormat',
  JsonOutput: 'typeName:TypeName returning:JsonReturning',
  JsonArgument: 'val:JsonValueExpr name',
  JsonKeyValue: 'key* value:JsonValueExpr',
  JsonBehavior: 'btype expr* coerce',
  JsonIsPredicate: 'expr* format:JsonFormat item_type unique_keys',
  JsonFuncExpr:
    'op column_name context_item:JsonValueExpr pathspec* passing* output:JsonOutput on_empty:JsonBehavior ' +
    'on_error:JsonBehavior wrapper quotes',
  JsonTable: 'context_item:JsonValueExpr pathspec:JsonTablePathSpec passing* columns* on_error:JsonBehavior alias:Alias lateral',
  JsonTablePathSpec: 'string* name',
  JsonTableColumn:
    'coltype name typeName:TypeName pathspec:JsonTablePathSpec format:JsonFormat wrapper quotes columns* ' +
    'on_empty:JsonBehavior on_error:JsonBehavior',
  JsonParseExpr: 'expr:JsonValueExpr output:JsonOutput unique_keys',
  JsonScalarExpr: 'expr* output:JsonOutput',
  JsonSerializeExpr: 'expr:JsonValueExpr output:JsonOutput',
  JsonObjectConstructor: 'exprs* output:JsonOutput absent_on_null unique',
  JsonArrayConstructor: 'exprs* output:JsonOutput absent_on_null',
  JsonArrayQueryConstructor: 'query* output:JsonOutput format:JsonFormat absent_on_null',
  JsonAggConstructor: 'output:JsonOutput agg_filter* agg_order* over:WindowDef',
  JsonObjectAgg: 'constructor:JsonAggConstructor arg:JsonKeyValue absent_on_null unique',
  JsonArrayAgg: 'constructor:JsonAggConstructor arg:JsonValueExpr absent_on_null',
  List: 'items*',
  String: 'sval',
  Integer: 'ival',
  Float: 'fval',
  Boolean: 'boolval',
  BitString: 'bsval',
};

/** What a field holds: null for no nodes, '' for wrapped nodes, else the type of the unwrapped node. */
type Content = string | null;

const GRAMMAR: ReadonlyMap<string, ReadonlyMap<string, Content>> = new Map(
  Object.entries(NODES).map(([type, fields]) => [type, contentsOf(fields)]),
);

function contentsOf(fields: string): ReadonlyMap<string, Content> {
  const contents = new Map<string, Content>();
  for (const field of fields.split(' ')) {
    const [name = '', type] = field.split(':');
    if (type !== undefined) contents.set(name, type);
    else if (name.endsWith('*')) contents.set(name.slice(0, -1), '');
    else if (name !== '') contents.set(name, null);
  }
  return contents;
}

/** The known fields of a node type, or undefined for an unknown node. */
export function fieldsOf(type: string): ReadonlyMap<string, Content> | undefined {
  return GRAMMAR.get(type);
}

/** Fields of any node that say where in the text it stood. */
export function isLocation(field: string): boolean {
  return field === 'location' || field.endsWith('_location');
}
