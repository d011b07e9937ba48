"""The mapped base of all nouns, and how a noun's state may move."""

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import BigInteger, DateTime, Enum, Identity, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

type_map: dict[Any, Any] = {
    datetime: DateTime(timezone=True),
    str: Text,
    bytes: LargeBinary,
    int: BigInteger,
    dict[str, Any]: JSONB,
    list[dict[str, Any]]: JSONB,
    list[str]: ARRAY(Text),
    list[int]: ARRAY(BigInteger),
    enum.Enum: Enum(enum.Enum, native_enum=False, create_constraint=True, length=32),
}


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True, eq=False):
    """Every noun: made with keywords, compared by identity, times aware and in UTC."""

    type_annotation_map = type_map
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Numbered(Base):
    """A noun with a number of its own, given by the database."""

    __abstract__ = True
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, init=False)


Moves = Mapping[Any, frozenset[Any]]
Row = TypeVar("Row")


class State(enum.StrEnum):
    """A state of a noun. `moves()` is the table of what may follow what; a state not in the table is final."""

    @classmethod
    def moves(cls) -> Moves:
        raise NotImplementedError

    @property
    def final(self) -> bool:
        return not self.moves().get(self)

    def may_become(self, to: "State") -> bool:
        return to in self.moves().get(self, frozenset())


def vouched(row: Row | None) -> Row:
    """A row that must be there: a foreign key, or a lock held, says so. Raises LookupError otherwise."""
    if row is None:
        raise LookupError("a row that must be there is missing")
    return row


def table(*rows: tuple[Any, str]) -> Moves:
    """A transition table from rows such as ("queued", "reserved abandoned")."""
    return {cls: frozenset(type(cls)(word) for word in to.split()) for cls, to in rows}
