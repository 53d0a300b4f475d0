"""`Apollo-Expose-Query-Plan`: a request that wants to see its plan, where the settings let it.

Source: the header of Apollo Router.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from router.config import RouterConfig
from router.pipeline import GraphQLRequest
from router.planner.print_plan import PlanShown

HEADER: Final = "apollo-expose-query-plan"


def with_plan_wanted(
    request: GraphQLRequest, headers: Mapping[str, str], config: RouterConfig
) -> GraphQLRequest:
    """The request, with what the header wants; with anything else in it, the header says nothing."""
    if not config.expose_query_plan or HEADER not in headers:
        return request
    wanted = headers[HEADER].strip().lower()
    return replace(request, plan=PlanShown(wanted)) if wanted in set(PlanShown) else request
