"""Compare the tables in the database with the models.

`alembic_version` says which migrations ran, not what they made: after an edited migration, a restored table or a manual
change, some pages would answer 500. So IMS compares PostgreSQL's catalogue with the models, in one query. Each program
compares the tables that it uses: those whose models it has loaded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Connection, MetaData, Table, text
from sqlalchemy.dialects import postgresql

FUNCTIONS: Final = frozenset(
    {
        "day_number",
        "incidents_with",
        "keep_incident_words",
        "keep_note_words",
        "record_incident_change",
        "remove_old_audit_entries",
        "remove_old_incidents",
        "searchable_words",
        "words_query",
    }
)
TRIGGERS: Final = frozenset({"incident_words", "note_words", "incident_recorded", "incident_change_recorded"})
"""Only migrations define FUNCTIONS and TRIGGERS, so both are listed here; a test compares them with a migrated
database."""

SHOWN: Final = 5
"""Maximum number of differences in a message."""

_CATALOGUE: Final = text(
    """
    SELECT 'column' AS kind, class.relname AS owner, attribute.attname AS name,
           format_type(attribute.atttypid, attribute.atttypmod) AS type, attribute.attnotnull AS is_required,
           attribute.atthasdef OR attribute.attidentity <> '' AS has_default
    FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
    WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'p')
      AND attribute.attnum > 0 AND NOT attribute.attisdropped AND NOT starts_with(class.relname, 'procrastinate_')
    UNION ALL
    SELECT 'index', owner.relname, class.relname, '', index.indisunique, index.indisvalid
    FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_class AS owner ON owner.oid = index.indrelid
    WHERE class.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'function', '', proname, '', false, false FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger', '', tgname, '', false, false FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'
    """
)

_NAME: Final = re.compile(r"^[a-z]+")
_TYPES: Final = {"varchar": "character varying", "float": "double precision"}
"""SQLAlchemy's names of types that have another name in PostgreSQL's catalogue."""
_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Found:
    """The catalogue: columns by table and name, whether each valid index is unique, names of functions and triggers."""

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    indexes: dict[str, bool] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    triggers: set[str] = field(default_factory=set)


def schema_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """What is missing or different in the database, as short phrases; empty if it agrees with the models.

    A column that the models lack is a difference only if it makes an INSERT fail. Raises `ValueError` if no model is
    loaded: nothing would ever differ.
    """
    if not metadata.tables:
        raise ValueError("no models are loaded")
    found = _read(connection)
    differences = [one for table in metadata.sorted_tables for one in _of_table(table, found)]
    differences += [f"function {name} is missing" for name in sorted(FUNCTIONS - found.functions)]
    differences += [f"trigger {name} is missing" for name in sorted(TRIGGERS - found.triggers)]
    return differences


def _read(connection: Connection) -> _Found:
    found = _Found()
    for row in connection.execute(_CATALOGUE):
        match row.kind:
            case "column":
                found.columns.setdefault(row.owner, {})[row.name] = row
            case "index" if row.has_default:
                found.indexes[row.name] = row.is_required
            case "function":
                found.functions.add(row.name)
            case "trigger":
                found.triggers.add(row.name)
    return found


def _of_table(table: Table, found: _Found) -> Iterator[str]:
    columns = found.columns.get(table.name)
    if columns is None:
        yield f"table {table.name} is missing"
        return
    for column in table.columns:
        yield from _of_column(column, columns.get(column.name))
    for name in sorted(columns.keys() - table.columns.keys()):
        if columns[name].is_required and not columns[name].has_default:
            yield f"column {table.name}.{name} is required, but unknown to IMS"
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        is_unique = found.indexes.get(str(index.name))
        if is_unique is None:
            yield f"index {index.name} is missing"
        elif is_unique != bool(index.unique):
            yield f"index {index.name} is {'' if is_unique else 'not '}unique"


def _of_column(column: Column[Any], found: Any) -> Iterator[str]:
    name = f"{column.table.name}.{column.name}"
    if found is None:
        yield f"column {name} is missing"
        return
    if (expected := _type_of(column)) != found.type:
        yield f"column {name} is {found.type} instead of {expected}"
    if bool(column.nullable) == found.is_required:
        yield f"column {name} is {'' if found.is_required else 'not '}required"


def _type_of(column: Column[Any]) -> str:
    compiled = column.type.compile(dialect=_DIALECT).lower()
    return _NAME.sub(lambda found: _TYPES.get(found[0], found[0]), compiled, count=1)
