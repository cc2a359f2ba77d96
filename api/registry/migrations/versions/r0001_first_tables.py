"""First tables.

Revision ID: 0001
Revises:
Create Date: 2026-11-22
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("machine_key", sa.String(length=64), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signal", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("samples_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("samples_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_alarm_version"),
    )
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alarm_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_alarm_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_alarm_machine_key"), ["machine_key"], unique=False)

    op.create_table(
        "contract",
        sa.Column("customer_key", sa.String(length=64), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("auto_renew", sa.Boolean(), nullable=False),
        sa.Column("notice_days", sa.Integer(), nullable=False),
        sa.Column("recurring_value_per_year", sa.Double(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("pricing_model", sa.String(), nullable=False),
        sa.Column("uptime_guarantee_ratio", sa.Double(), nullable=True),
        sa.Column("downtime_vendor_share_ratio", sa.Double(), nullable=False),
        sa.Column("response_target_h", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("outcome_on", sa.Date(), nullable=True),
        sa.Column("outcome_reason", sa.String(), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_contract_version"),
    )
    with op.batch_alter_table("contract", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_contract_customer_key"), ["customer_key"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_contract_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_contract_key_recorded_at", ["key", "recorded_at"], unique=False)

    op.create_table(
        "customer",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("segment", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_customer_version"),
    )
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_customer_key_recorded_at", ["key", "recorded_at"], unique=False)

    op.create_table(
        "downtime",
        sa.Column("machine_key", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_planned", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("work_order_key", sa.String(length=64), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_downtime")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_downtime_version"),
    )
    with op.batch_alter_table("downtime", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_downtime_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_downtime_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_downtime_machine_key"), ["machine_key"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_downtime_work_order_key"), ["work_order_key"], unique=False
        )

    op.create_table(
        "evidence_edge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("from_kind", sa.String(length=32), nullable=False),
        sa.Column("from_id", sa.String(length=128), nullable=False),
        sa.Column("to_kind", sa.String(length=32), nullable=False),
        sa.Column("to_id", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("unit", sa.String(), nullable=True),
        sa.Column("method", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence_edge")),
    )
    with op.batch_alter_table("evidence_edge", schema=None) as batch_op:
        batch_op.create_index("ix_evidence_edge_from", ["from_kind", "from_id"], unique=False)

    op.create_table(
        "health_model",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_model")),
    )
    op.create_table(
        "health_snapshot",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("machine_key", sa.String(length=64), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("health_pct", sa.Double(), nullable=True),
        sa.Column("anomaly_score", sa.Double(), nullable=True),
        sa.Column("remaining_useful_life_h", sa.Double(), nullable=True),
        sa.Column("lower_h", sa.Double(), nullable=True),
        sa.Column("upper_h", sa.Double(), nullable=True),
        sa.Column("survival", sa.JSON(), nullable=False),
        sa.Column("contributions", sa.JSON(), nullable=False),
        sa.Column("samples_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("samples_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_samples", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_snapshot")),
    )
    with op.batch_alter_table("health_snapshot", schema=None) as batch_op:
        batch_op.create_index(
            "ix_health_snapshot_machine_key_id", ["machine_key", "id"], unique=False
        )

    op.create_table(
        "import_batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("n_rows", sa.Integer(), nullable=False),
        sa.Column("n_set_aside", sa.Integer(), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_batch")),
    )
    op.create_table(
        "machine",
        sa.Column("site_key", sa.String(length=64), nullable=False),
        sa.Column("contract_key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("installed_on", sa.Date(), nullable=False),
        sa.Column("downtime_cost_per_h", sa.Double(), nullable=False),
        sa.Column("planned_visit_cost", sa.Double(), nullable=False),
        sa.Column("planned_visit_h", sa.Double(), nullable=False),
        sa.Column("unplanned_repair_cost", sa.Double(), nullable=False),
        sa.Column("unplanned_repair_h", sa.Double(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_machine_version"),
    )
    with op.batch_alter_table("machine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_machine_contract_key"), ["contract_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_machine_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_machine_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_machine_site_key"), ["site_key"], unique=False)

    op.create_table(
        "payment",
        sa.Column("contract_key", sa.String(length=64), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=True),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_payment_version"),
    )
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payment_contract_key"), ["contract_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_payment_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_payment_key_recorded_at", ["key", "recorded_at"], unique=False)

    op.create_table(
        "proposal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("machine_key", sa.String(length=64), nullable=False),
        sa.Column("health_snapshot_id", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("visit_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failure_probability", sa.Double(), nullable=False),
        sa.Column("horizon_days", sa.Integer(), nullable=False),
        sa.Column("planned_cost", sa.Double(), nullable=False),
        sa.Column("failure_cost", sa.Double(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("waiting_cost", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    with op.batch_alter_table("proposal", schema=None) as batch_op:
        batch_op.create_index("ix_proposal_machine_key_id", ["machine_key", "id"], unique=False)

    op.create_table(
        "risk_snapshot",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer_key", sa.String(length=64), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon_days", sa.Integer(), nullable=False),
        sa.Column("renewal_on", sa.Date(), nullable=True),
        sa.Column("churn_probability", sa.Double(), nullable=False),
        sa.Column("lower", sa.Double(), nullable=False),
        sa.Column("upper", sa.Double(), nullable=False),
        sa.Column("recurring_value_per_year", sa.Double(), nullable=False),
        sa.Column("money_at_risk_per_year", sa.Double(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("drivers", sa.JSON(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_snapshot")),
    )
    with op.batch_alter_table("risk_snapshot", schema=None) as batch_op:
        batch_op.create_index(
            "ix_risk_snapshot_customer_key_id", ["customer_key", "id"], unique=False
        )

    op.create_table(
        "set_aside_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("column", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("row", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_set_aside_row")),
    )
    with op.batch_alter_table("set_aside_row", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_set_aside_row_import_id"), ["import_id"], unique=False)

    op.create_table(
        "site",
        sa.Column("customer_key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("latitude_deg", sa.Double(), nullable=False),
        sa.Column("longitude_deg", sa.Double(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_site_version"),
    )
    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_site_customer_key"), ["customer_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_site_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_site_key_recorded_at", ["key", "recorded_at"], unique=False)

    op.create_table(
        "technician",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("home_latitude_deg", sa.Double(), nullable=False),
        sa.Column("home_longitude_deg", sa.Double(), nullable=False),
        sa.Column("skills", sa.String(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_technician")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_technician_version"),
    )
    with op.batch_alter_table("technician", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_technician_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_technician_key_recorded_at", ["key", "recorded_at"], unique=False)

    op.create_table(
        "ticket",
        sa.Column("customer_key", sa.String(length=64), nullable=False),
        sa.Column("machine_key", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_ticket_version"),
    )
    with op.batch_alter_table("ticket", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ticket_customer_key"), ["customer_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_ticket_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_ticket_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_ticket_machine_key"), ["machine_key"], unique=False)

    op.create_table(
        "usage",
        sa.Column("machine_key", sa.String(length=64), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("run_h", sa.Double(), nullable=False),
        sa.Column("n_logins", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_usage_version"),
    )
    with op.batch_alter_table("usage", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_usage_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_usage_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_usage_machine_key"), ["machine_key"], unique=False)

    op.create_table(
        "visit",
        sa.Column("work_order_key", sa.String(length=64), nullable=False),
        sa.Column("technician_key", sa.String(length=64), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_resolved", sa.Boolean(), nullable=False),
        sa.Column("incomplete_reason", sa.String(), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_visit_version"),
    )
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_visit_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_visit_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_visit_technician_key"), ["technician_key"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_visit_work_order_key"), ["work_order_key"], unique=False
        )

    op.create_table(
        "work_order",
        sa.Column("machine_key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("fault_code", sa.String(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alarm_key", sa.String(length=64), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_order")),
        sa.UniqueConstraint("source", "key", "recorded_at", name="uq_work_order_version"),
    )
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_order_alarm_key"), ["alarm_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_work_order_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_work_order_key_recorded_at", ["key", "recorded_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_work_order_machine_key"), ["machine_key"], unique=False
        )
