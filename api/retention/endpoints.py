"""`/v1/customers` and `/v1/metrics`."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query

from api.parameters import Context, Cursor, Limit
from api.retention.schemas import (
    CustomerDetail,
    CustomerSummary,
    DowntimeExposure,
    FirstTimeFix,
    RiskDetail,
)
from api.retention.service import RetentionService
from api.shapes import Page, page_of

router = APIRouter(prefix="/v1", tags=["customers"])

CustomerKey: TypeAlias = Annotated[str, Path(description="Key of the customer.")]
WindowDays: TypeAlias = Annotated[
    float, Query(gt=0.0, le=3650.0, description="How far back, in days.")
]


@router.get("/customers", summary="Customers by money at risk")
def list_customers(
    context: Context,
    include_left: Annotated[
        bool, Query(description="Whether to list those without a running contract too.")
    ] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[CustomerSummary]:
    """Most money at risk first, each with its interval and the driver that adds most."""
    customers = RetentionService(context).customers(include_left=include_left)
    return page_of(customers, lambda customer: customer.key, limit=limit, cursor=cursor)


@router.get("/customers/{key}", summary="One customer in full")
def read_customer(context: Context, key: CustomerKey) -> CustomerDetail:
    """Risk with its drivers, machines, exposure, first-time fix and the last half year."""
    return RetentionService(context).customer(key)


@router.get("/customers/{key}/risk", summary="Risk of one customer leaving, with its drivers")
def read_risk(
    context: Context,
    key: CustomerKey,
    risk: Annotated[int | None, Query(ge=1, lt=2**63, description="An earlier one.")] = None,
) -> RiskDetail:
    """Log-odds of the drivers add up to the risk, and their money to the money at risk."""
    return RetentionService(context).risk(key, risk)


@router.get("/metrics/first-time-fix", summary="How often one visit was enough")
def read_first_time_fix(
    context: Context,
    customer: Annotated[str | None, Query(description="Only visits to this customer.")] = None,
    window_days: WindowDays = 365.0,
) -> FirstTimeFix:
    """With its definition, its interval, and what is too recent to say."""
    return RetentionService(context).first_time_fix(customer, window_days)


@router.get("/metrics/downtime-exposure", summary="Unplanned standstill in hours and money")
def read_downtime_exposure(context: Context, window_days: WindowDays = 90.0) -> DowntimeExposure:
    """In total by currency and by customer, with the part that the maker bears."""
    return RetentionService(context).downtime_exposure(window_days)
