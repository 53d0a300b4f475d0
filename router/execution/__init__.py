"""QueryPlan → answer: compile once a plan; fetch, merge and project once a request."""

from router.execution.compiled import CompiledPlan, compile_plan
from router.execution.execute import execute, subscribe
from router.execution.incremental import IncrementalFormat, execute_incrementally
from router.execution.one_fetch import OneFetch, begin
from router.execution.response import GraphQLResponse
from router.execution.run import ErrorsShown, ExecutionOptions

__all__ = [
    "CompiledPlan",
    "ErrorsShown",
    "ExecutionOptions",
    "GraphQLResponse",
    "IncrementalFormat",
    "OneFetch",
    "begin",
    "compile_plan",
    "execute",
    "execute_incrementally",
    "subscribe",
]
