import type { EffectReason, ResidueRisk, StatementFacts } from './facts.ts';
import { Collector } from './findings.ts';
import { isReadableSetting } from './server-settings.ts';
import { modesOf, noteSet, noteSetConfig } from './set-statement.ts';
import { type Fields, isFields, listOf, nodeOf, type TreeNode, textOf } from './tree.ts';
import { walk, walkAnything, walkFields } from './walk.ts';

/**
 * What a statement is, by the type of its top node. Every type of PostgreSQL 18 that is not a query is in one of the
 * tables below; a type that is in none is not proven a read.
 */
export function collectStatement(node: TreeNode): Collector {
  const collector = new Collector();
  const handler = HANDLERS.get(node.type);
  if (handler !== undefined) handler(node.fields, collector, node.type);
  else if (MAINTENANCE.has(node.type)) needsPrimary('maintenance', node, collector);
  else if (SCHEMA_CHANGES.has(node.type)) {
    needsPrimary('schema change', node, collector);
    collector.changesCatalog = !WITHOUT_NEWS.has(node.type);
    // Also without the word TEMP: the search path may begin with pg_temp.
    collector.residue.add('temporary object');
  } else {
    collector.is('unknown', 'not proven a read', node.type);
    collector.residue.add('unknown');
    collector.changesCatalog = true;
    walkAnything(node.fields, collector);
  }
  return collector;
}

function needsPrimary(reason: EffectReason, node: TreeNode, collector: Collector): void {
  collector.is('write', reason);
  walkAnything(node.fields, collector);
}

type Handler = (fields: Fields, collector: Collector, type: string) => void;

const query: Handler = (fields, collector, type) => {
  walkFields(type, fields, collector);
  if (type === 'SelectStmt') noteSetConfig(fields, collector);
};

const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['SelectStmt', query],
  ['InsertStmt', query],
  ['UpdateStmt', query],
  ['DeleteStmt', query],
  ['MergeStmt', query],
  ['CopyStmt', noteCopy],
  ['ExplainStmt', noteExplain],
  ['TransactionStmt', noteTransaction],
  ['VariableSetStmt', noteSet],
  ['VariableShowStmt', noteShow],
  ['DeclareCursorStmt', noteDeclare],
  ['FetchStmt', (_fields, collector) => collector.readAs('cursor over a read')],
  ['ClosePortalStmt', noteClose],
  ['PrepareStmt', notePrepare],
  ['ExecuteStmt', noteExecute],
  ['DeallocateStmt', noteDeallocate],
  ['DiscardStmt', noteDiscard],
  ['ListenStmt', (_fields, collector) => control(collector, { kind: 'listen' }, 'notification', 'listen')],
  ['UnlistenStmt', (_fields, collector) => control(collector, { kind: 'unlisten' }, 'notification', null)],
  ['NotifyStmt', (_fields, collector) => collector.is('write', 'notification')],
  ['LoadStmt', (_fields, collector) => control(collector, { kind: 'query' }, 'session control', 'library')],
  ['LockStmt', (_fields, collector) => collector.is('write', 'explicit lock')],
  ['ConstraintsSetStmt', (_fields, collector) => collector.is('write', 'transaction control')],
  ['TruncateStmt', noteTruncate],
  ['CreateTableAsStmt', noteCreateTableAs],
  ['CreateStmt', noteCreateTable],
  ['DoStmt', noteCode],
  ['CallStmt', noteCode],
]);

function control(collector: Collector, facts: StatementFacts, reason: EffectReason, residue: ResidueRisk | null): void {
  collector.facts = facts;
  collector.is('write', reason);
  if (residue !== null) collector.residue.add(residue);
}

function noteCopy(fields: Fields, collector: Collector): void {
  const into = fields.is_from === true;
  collector.facts = { kind: 'copy', direction: into ? 'in' : 'out' };
  collector.readAs('read-only COPY');
  if ('query' in fields) walk(fields.query, collector);
  if ('whereClause' in fields) walk(fields.whereClause, collector);
  if (into) {
    collector.is('write', 'data modification');
    const relation = fields.relation;
    if (isFields(relation)) {
      const schema = 'schemaname' in relation ? textOf(relation.schemaname) : null;
      collector.targets.push({ schema, name: textOf(relation.relname) });
    }
    return;
  }
  if ('relation' in fields) walkFields('RangeVar', fields.relation, collector);
  // A file or program of the server.
  if ('filename' in fields || fields.is_program === true) collector.is('write', 'differs on a standby', 'COPY TO a file');
}

/** As what it explains, run or not: a plan from a standby is of no use for a statement that belongs on the primary. */
function noteExplain(fields: Fields, collector: Collector): void {
  const inner = nodeOf(fields.query);
  if (inner === null) {
    collector.is('unknown', 'not proven a read', 'ExplainStmt');
    return;
  }
  collector.take(collectStatement(inner));
  collector.readAs('EXPLAIN of a read');
}

function noteTransaction(fields: Fields, collector: Collector): void {
  collector.readAs('transaction control');
  const chain = fields.chain === true;
  const name = textOf(fields.savepoint_name);
  switch (fields.kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      collector.facts = { kind: 'begin', modes: modesOf(listOf(fields.options)) };
      return;
    case 'TRANS_STMT_COMMIT':
      collector.facts = { kind: 'commit', chain };
      return;
    case 'TRANS_STMT_ROLLBACK':
      collector.facts = { kind: 'rollback', chain };
      return;
    case 'TRANS_STMT_SAVEPOINT':
      collector.facts = { kind: 'savepoint', name };
      return;
    case 'TRANS_STMT_RELEASE':
      collector.facts = { kind: 'release', name };
      return;
    case 'TRANS_STMT_ROLLBACK_TO':
      collector.facts = { kind: 'rollback to', name };
      return;
    case 'TRANS_STMT_PREPARE':
      control(collector, { kind: 'prepare transaction' }, 'transaction control', null);
      return;
    case 'TRANS_STMT_COMMIT_PREPARED':
      control(collector, { kind: 'commit prepared' }, 'transaction control', null);
      return;
    case 'TRANS_STMT_ROLLBACK_PREPARED':
      control(collector, { kind: 'rollback prepared' }, 'transaction control', null);
      return;
    default:
      collector.is('unknown', 'not proven a read', 'TransactionStmt');
  }
}

function noteShow(fields: Fields, collector: Collector): void {
  const name = textOf(fields.name).toLowerCase();
  collector.facts = { kind: 'show', name };
  collector.readAs('SHOW');
  if (!isReadableSetting(name)) collector.is('write', 'differs on a standby', name);
}

/** CURSOR_OPT_HOLD of parsenodes.h. */
const CURSOR_HOLD = 0x20;

function noteDeclare(fields: Fields, collector: Collector): void {
  const hold = typeof fields.options === 'number' && (fields.options & CURSOR_HOLD) !== 0;
  collector.facts = { kind: 'declare cursor', hold };
  collector.readAs('cursor over a read');
  walk(fields.query, collector);
  if (!hold) return;
  collector.is('write', 'session control', 'WITH HOLD');
  collector.residue.add('held cursor');
}

function noteClose(_fields: Fields, collector: Collector): void {
  collector.facts = { kind: 'close cursor' };
  collector.readAs('cursor over a read');
}

/** What is prepared is not run: what it may do counts when it is executed. */
function notePrepare(fields: Fields, collector: Collector): void {
  control(collector, { kind: 'prepare', name: textOf(fields.name) }, 'session control', 'prepared statement');
}

function noteExecute(fields: Fields, collector: Collector): void {
  collector.facts = { kind: 'execute', name: textOf(fields.name) };
  collector.is('unknown', 'not proven a read', 'EXECUTE');
  collector.callsVolatile = true;
  collector.sessionState = 'connection';
  collector.residue.add('unknown');
}

function noteDeallocate(fields: Fields, collector: Collector): void {
  const all = fields.isall === true;
  control(collector, { kind: 'deallocate', name: all ? null : textOf(fields.name) }, 'session control', null);
}

function noteDiscard(fields: Fields, collector: Collector): void {
  collector.readAs('session control');
  switch (fields.target) {
    case 'DISCARD_PLANS':
      collector.facts = { kind: 'discard', target: 'plans' };
      return;
    case 'DISCARD_SEQUENCES':
      collector.facts = { kind: 'discard', target: 'sequences' };
      return;
    case 'DISCARD_TEMP':
      collector.facts = { kind: 'discard', target: 'temp' };
      return;
    default:
      collector.facts = { kind: 'discard', target: 'all' };
  }
}

function noteTruncate(fields: Fields, collector: Collector): void {
  collector.is('write', 'data modification');
  for (const item of listOf(fields.relations)) {
    const relation = nodeOf(item)?.fields ?? {};
    const schema = 'schemaname' in relation ? textOf(relation.schemaname) : null;
    collector.targets.push({ schema, name: textOf(relation.relname) });
  }
}

function noteCreateTableAs(fields: Fields, collector: Collector): void {
  const into = isFields(fields.into) ? fields.into : {};
  noteNewTable(into.rel, collector);
  walk(fields.query, collector);
}

function noteCreateTable(fields: Fields, collector: Collector): void {
  noteNewTable(fields.relation, collector);
  collector.onlyDeclares = true;
  walkAnything(fields, collector);
}

function noteNewTable(relation: unknown, collector: Collector): void {
  const fields = isFields(relation) ? relation : {};
  const temporary = fields.relpersistence === 't' || fields.schemaname === 'pg_temp';
  collector.is('write', temporary ? 'temporary relation' : 'schema change');
  collector.changesCatalog = !temporary;
  collector.residue.add('temporary object');
}

function noteCode(fields: Fields, collector: Collector): void {
  collector.is('unknown', 'procedure or code block');
  collector.callsVolatile = true;
  collector.residue.add('unknown');
  walkAnything(fields, collector);
}

const MAINTENANCE: ReadonlySet<string> = new Set([
  'AlterSystemStmt',
  'CheckPointStmt',
  'ClusterStmt',
  'RefreshMatViewStmt',
  'ReindexStmt',
  'VacuumStmt',
]);

const SCHEMA_CHANGES: ReadonlySet<string> = new Set(
  `AlterCollationStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt AlterDatabaseStmt AlterDefaultPrivilegesStmt
   AlterDomainStmt AlterEnumStmt AlterEventTrigStmt AlterExtensionContentsStmt AlterExtensionStmt AlterFdwStmt
   AlterForeignServerStmt AlterFunctionStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOpFamilyStmt
   AlterOperatorStmt AlterOwnerStmt AlterPolicyStmt AlterPublicationStmt AlterRoleSetStmt AlterRoleStmt AlterSeqStmt
   AlterStatsStmt AlterSubscriptionStmt AlterTSConfigurationStmt AlterTSDictionaryStmt AlterTableMoveAllStmt
   AlterTableSpaceOptionsStmt AlterTableStmt AlterTypeStmt AlterUserMappingStmt CommentStmt CompositeTypeStmt
   CreateAmStmt CreateCastStmt CreateConversionStmt CreateDomainStmt CreateEnumStmt CreateEventTrigStmt
   CreateExtensionStmt CreateFdwStmt CreateForeignServerStmt CreateForeignTableStmt CreateFunctionStmt
   CreateOpClassStmt CreateOpFamilyStmt CreatePLangStmt CreatePolicyStmt CreatePublicationStmt CreateRangeStmt
   CreateRoleStmt CreateSchemaStmt CreateSeqStmt CreateStatsStmt CreateSubscriptionStmt CreateTableSpaceStmt
   CreateTransformStmt CreateTrigStmt CreateUserMappingStmt CreatedbStmt DefineStmt DropOwnedStmt DropRoleStmt DropStmt
   DropSubscriptionStmt DropTableSpaceStmt DropUserMappingStmt DropdbStmt GrantRoleStmt GrantStmt
   ImportForeignSchemaStmt IndexStmt ReassignOwnedStmt RenameStmt RuleStmt SecLabelStmt ViewStmt`.split(/\s+/),
);

/** Schema changes after which the catalog of this database says the same as before. */
const WITHOUT_NEWS: ReadonlySet<string> = new Set(
  `AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt AlterDatabaseStmt AlterDefaultPrivilegesStmt AlterRoleSetStmt
   AlterRoleStmt CommentStmt CreateRoleStmt CreateStatsStmt CreateTableSpaceStmt CreatedbStmt DropRoleStmt
   DropTableSpaceStmt DropdbStmt GrantRoleStmt GrantStmt IndexStmt ReassignOwnedStmt SecLabelStmt`.split(/\s+/),
);
