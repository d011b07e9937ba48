"""Every door a lead can come through."""

import warnings

from alembic import op
from alembic.autogenerate import produce_migrations
from alembic.operations.ops import ModifyTableOps

from router.model import Base

revision = "0002"
down_revision = "0001"

ENUMS = {"tasks": {"kind": ("taskkind", "call nurture chat video")}}


def upgrade() -> None:
    op.drop_index("one_waiting_call_per_person", "tasks")
    context = op.get_context()
    context.opts["compare_type"] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = produce_migrations(context, Base.metadata).upgrade_ops
    for one in found.ops:
        if isinstance(one, ModifyTableOps):
            for inner in one.ops:
                op.invoke(inner)
        else:
            op.invoke(one)
    for table, columns in ENUMS.items():
        for column, (name, words) in columns.items():
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
            values = ", ".join(f"'{word}'" for word in words.split())
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, f"{column} in ({values})")
